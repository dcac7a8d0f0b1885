"""A comparison of losses as rows and as the tables of a page.

    cospair compare faces --out compare
    python benchmarks/losses.py compare/comparison.json docs/which_loss.md

The rows of the losses go to `benchmarks/losses.csv` and those of the margins to
`benchmarks/margins.csv`, in place of what these held; the tables go between the page's markers
`losses` and `margins`.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tables import fill, markdown

from cospair.files import write_whole
from cospair.report.standings import standing

HERE = Path(__file__).parent
FIGURES = ("auc", "eer", "tar@far=0.01", "cmc_1", "map")


def spread(name: str, value: float | None, interval: Sequence[float] | None) -> dict[str, Any]:
    """A figure in three columns."""
    low, high = interval or (None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def figures(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Every figure of a loss, with its interval."""
    found: dict[str, Any] = {}
    for name in FIGURES:
        one = entry["figures"][name]
        found |= spread(name, one["value"], one["interval"])
    return found


def loss_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a loss, or of what needs no training."""
    gap = (entry["against_reference"] or {}).get("auc", {})
    chosen = [
        " ".join(f"{name}={value:g}" for name, value in split["chosen"].items())
        for split in entry.get("splits", ())
    ]
    return {
        "loss": entry["name"],
        "key": entry.get("key", ""),
        **figures(entry),
        **spread("auc_difference", gap.get("difference"), gap.get("difference_interval")),
        "standing": standing(dict(entry)),
        "chosen": " | ".join(chosen),
        "seconds": entry.get("seconds"),
        "loss_ms": entry.get("loss_ms"),
    }


def margin_row(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a margin in one form of the loss."""
    means = {
        f"{kind}_{of}": entry[f"{kind}_{of}"]
        for kind in ("genuine", "impostor")
        for of in ("mean", "std")
    }
    return {"form": entry["form"], "margin": entry["margin"], **figures(entry), **means}


def written(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()} for row in rows
    )
    return text.getvalue().encode()


def loss_table(part: Mapping[str, Any]) -> str:
    """The losses of an encoder as a table."""
    body = []
    untrained = [{**one, "name": f"untrained: {one['name']}"} for one in part["baselines"]]
    for row in map(loss_row, [*part["contenders"], *untrained]):
        auc = f"{row['auc']:.4f} ({row['auc_low']:.4f} to {row['auc_high']:.4f})"
        gap = (
            ""
            if row["auc_difference"] is None
            else f"{row['auc_difference']:+.4f} ({row['auc_difference_low']:+.4f} to "
            f"{row['auc_difference_high']:+.4f})"
        )
        said = "" if row["standing"] == "default" else row["standing"]
        body.append([row["loss"], auc, f"{100 * row['eer']:.2f}", gap, said])
    return markdown(["loss", "AUC (95 %)", "EER %", "AUC to the default (95 %)", "shown"], body)


def margin_table(part: Mapping[str, Any]) -> str:
    """Both forms side by side, a row a margin."""
    body: dict[float, list[str]] = {}
    for row in map(margin_row, part["margins"]):
        cells = body.setdefault(row["margin"], [f"{row['margin']:g}"])
        means = f"{row['genuine_mean']:.2f}, {row['impostor_mean']:.2f}"
        cells += [f"{row['auc']:.4f}", f"{100 * row['eer']:.2f}", means]
    mean = "genuine, impostor mean"
    head = ["margin", "1 - s: AUC", "EER %", mean, "symmetric: AUC", "EER %", mean]
    return markdown(head, list(body.values()))


def main() -> None:
    """Write the rows and fill the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", type=Path, help="comparison.json")
    parser.add_argument("page", type=Path, help="page with the markers")
    asked = parser.parse_args()
    result = json.loads(asked.result.read_text(encoding="utf-8"))
    (part,) = result["encoders"]
    known = {
        "data": result["data"]["name"],
        "encoder": part["encoder"],
        **{name: part[name] for name in ("folds", "splits")},
        **{name: result[name] for name in ("resamples", "seed")},
        **result["versions"],
        "date": result["created"][:10],
    }
    for name, rows in (
        ("losses", [loss_row(one) for one in (*part["contenders"], *part["baselines"])]),
        ("margins", [margin_row(one) for one in part["margins"]]),
    ):
        write_whole(HERE / f"{name}.csv", written([{**row, **known} for row in rows]))
    page = asked.page.read_text(encoding="utf-8")
    page = fill(fill(page, "losses", loss_table(part)), "margins", margin_table(part))
    write_whole(asked.page, page.encode())


if __name__ == "__main__":
    main()
