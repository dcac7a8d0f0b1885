"""What is asked of an evaluation beside its source."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from cospair.evaluation import Rule

FAR = (1e-1, 1e-2, 1e-3)
FAR_OF_RULE = 1e-2


@dataclass(frozen=True)
class EvaluationPlan:
    """Options of `evaluate`.

    Attributes:
        run: The run whose model embeds a folder of pictures.
        labels: Labels of a .npy file.
        columns: Names of columns or arrays by role, where a file has others than ours.
        gallery: Embeddings or pictures that those of the source are looked up in.
        pairs: A file of pairs in LFW's form: these pairs alone are scored, and LFW's protocol is
            followed where the file has folds.
        threshold: A threshold file to apply; None: the run's own, where there is a run.
        calibrate_on: Other people, of the source's kind, to choose a threshold on instead.
        rule: How, with `calibrate_on` only; None: "far".
        far: FARs to give TAR at, the first also for rule "far"; None: 0.1, 0.01 and 0.001, and 0.01
            for the rule.
        resamples: Bootstrap resamples of the intervals: 0 for none, or at least 100.
        seed: Of the resamples; None: the run's, or 0.

    Raises:
        ValueError: If two options do not go together or a FAR lies outside (0, 1].
    """

    run: str | os.PathLike[str] | None = None
    labels: str | os.PathLike[str] | None = None
    columns: Mapping[str, str] | None = None
    gallery: str | os.PathLike[str] | None = None
    pairs: str | os.PathLike[str] | None = None
    threshold: str | os.PathLike[str] | None = None
    calibrate_on: str | os.PathLike[str] | None = None
    rule: Rule | None = None
    far: tuple[float, ...] | None = None
    resamples: int = 1000
    seed: int | None = None

    def __post_init__(self) -> None:
        """Refuse options that do not go together."""
        if self.threshold is not None and self.calibrate_on is not None:
            raise ValueError(
                "threshold and calibrate_on must not both be given; got both; apply a threshold or "
                "choose one"
            )
        if self.rule is not None and self.calibrate_on is None:
            raise ValueError(
                f"rule must go with calibrate_on; got {self.rule!r} alone; name people to choose "
                "the threshold on"
            )
        if self.pairs is not None and self.gallery is not None:
            raise ValueError(
                "pairs and gallery must not both be given; got both; evaluate one after the other"
            )
        for share in self.far or ():
            if not 0 < share <= 1:
                raise ValueError(f"far must lie in (0, 1]; got {share:g}; give a share like 0.01")

    @property
    def far_targets(self) -> tuple[float, ...]:
        """FARs to give TAR at."""
        return self.far or FAR

    @property
    def chosen_rule(self) -> tuple[Rule, float | None]:
        """How a threshold is chosen, and the FAR that rule "far" asks for."""
        rule = self.rule or "far"
        wanted = self.far[0] if self.far else FAR_OF_RULE
        return rule, wanted if rule == "far" else None

    @property
    def asks_nothing_of_a_run(self) -> bool:
        """Whether the people a run kept unseen are evaluated, nobody else, at its own threshold."""
        return self.gallery is None and self.threshold is None and self.calibrate_on is None
