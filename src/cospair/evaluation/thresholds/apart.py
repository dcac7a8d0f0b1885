"""Were these people calibrated on? Names as short hashes inside an artefact.

Decisions of this file:
- People are told apart by name, so names must mean the same person in both places. Labels that
  number the people of one set from 0 do not: nothing is stored unless names are handed over.
- 64 bits a person: among a million people two share a hash with a probability of 3e-8.
- A hash hides a name from a glance, not from somebody who guesses names.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cospair.evaluation.inputs import Array, as_array, identity_labels

if TYPE_CHECKING:
    from cospair.evaluation.calibration.artefact import Calibration
    from cospair.evaluation.thresholds.artefact import Threshold

HEX_DIGITS = 16


def identity_hashes(name: str, identities: Array | None) -> tuple[str, ...]:
    """Sorted short hashes of the distinct names, one each; none where no names are given."""
    if identities is None:
        return ()
    return tuple(sorted(_hash(person) for person in _distinct(name, identities)))


def check_apart(artefact: Threshold | Calibration, identities: Array) -> None:
    """Refuse to test on people that a threshold or a calibration was made on.

    Args:
        artefact: A `Threshold` or `Calibration` made with `calibration_identities`.
        identities: Integer or string [n], the people to test on, by the names that were used there;
            they may repeat.

    Raises:
        TypeError: If identities are floats.
        ValueError: If the artefact holds no names, or shares some with `identities`.

    Example:
        >>> from cospair.evaluation.thresholds.choosing import choose_threshold
        >>> pairs = [0.9, 0.7, 0.6, 0.1], [True, True, False, False]
        >>> chosen = choose_threshold(*pairs, calibration_identities=["ann", "bob"])
        >>> check_apart(chosen, ["cleo", "dora"])
        >>> check_apart(chosen, ["bob", "cleo"])
        Traceback (most recent call last):
        ValueError: identities must not hold people the artefact was calibrated on; got 1 of them,
        'bob'; test on other people.
    """
    known = set(artefact.calibration_identities)
    if not known:
        raise ValueError(
            "artefact must hold the names of its calibration people; got one without; make it with "
            "calibration_identities."
        )
    shared = [person for person in _distinct("identities", identities) if _hash(person) in known]
    if shared:
        shown = ", ".join(repr(person) for person in shared[:3])
        more = " and others" if len(shared) > 3 else ""
        raise ValueError(
            "identities must not hold people the artefact was calibrated on; got "
            f"{len(shared)} of them, {shown}{more}; test on other people."
        )


def _distinct(name: str, identities: Array) -> list[Any]:
    labels: NDArray[Any] = as_array(identities)
    return np.unique(identity_labels(name, labels, labels.size)).tolist()


def _hash(person: str | int) -> str:
    # the type stands first: person 7 and person "7" are two people
    return hashlib.sha256(f"{type(person).__name__} {person}".encode()).hexdigest()[:HEX_DIGITS]
