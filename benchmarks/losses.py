"""Comparisons of losses as rows, and as the tables of a page.

    cospair compare faces --out compare
    python benchmarks/losses.py docs/which_loss.md compare/comparison.json

Rows go to `losses.csv`, `margins.csv` and `curves.csv` beside this file, in place of those of the
same study: the same data, encoder and budget. The page's tables are made of the rows, whatever
results are given, each between its markers, whose name says which:

    losses faces conv     every loss of the study with the most losses
    margins faces conv    both forms of the loss by margin
    curves faces conv     AUC by the pictures seen so far
    batches faces conv    AUC by the identities in a batch, where several were studied
    results               a line a study: the default, pairs, the best of the others, and what needs
                          no training
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tables import fill, markdown

from cospair.files import write_whole
from cospair.report.standings import standing

HERE = Path(__file__).parent
FIGURES = ("auc", "eer", "tar@far=0.01", "cmc_1", "map")
STUDY = ("data", "encoder", "people", "each", "steps", "area", "mirror", "folds", "splits")
ENCODERS = {"conv": "from scratch", "efficientnet-lite0": "a head over pretrained features"}

Row = dict[str, Any]


# ---- rows of a result ----------------------------------------------------------------------------


def spread(name: str, value: float | None, interval: Sequence[float] | None) -> Row:
    """A figure in three columns."""
    low, high = interval or (None, None)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def figures(entry: Mapping[str, Any]) -> Row:
    """Every figure of a loss, with its interval."""
    found: Row = {}
    for name in FIGURES:
        one = entry["figures"][name]
        found |= spread(name, one["value"], one["interval"])
    return found


def loss_row(entry: Mapping[str, Any]) -> Row:
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


def margin_row(entry: Mapping[str, Any]) -> Row:
    """A row of a margin in one form of the loss."""
    means = {
        f"{kind}_{of}": entry[f"{kind}_{of}"]
        for kind in ("genuine", "impostor")
        for of in ("mean", "std")
    }
    return {"form": entry["form"], "margin": entry["margin"], **figures(entry), **means}


def curve_rows(entry: Mapping[str, Any]) -> list[Row]:
    """A row a point of a loss's learning curve, the mean over the splits."""
    curves = [split["curve"] for split in entry["splits"]]
    return [
        {
            "loss": entry["name"],
            "key": entry["key"],
            "pictures": points[0]["pictures"],
            "auc": statistics.mean(point["auc"] for point in points),
        }
        for points in zip(*curves, strict=True)
    ]


def rows_of(result: Mapping[str, Any]) -> dict[str, list[Row]]:
    """The rows of a result, by the file they go to."""
    found: dict[str, list[Row]] = {"losses": [], "margins": [], "curves": []}
    for part in result["encoders"]:
        known = {
            "data": result["data"]["name"],
            "identities": result["data"]["identities"],
            "encoder": part["encoder"],
            **{name: part["recipe"][name] for name in STUDY[2:7]},
            **{name: part[name] for name in ("folds", "splits", "test_identities")},
            **{name: result[name] for name in ("resamples", "seed")},
            **result["versions"],
            "date": result["created"][:10],
        }
        made = {
            "losses": [loss_row(one) for one in (*part["contenders"], *part["baselines"])],
            "margins": [margin_row(one) for one in part["margins"]],
            "curves": [row for one in part["contenders"] for row in curve_rows(one)],
        }
        for name, rows in made.items():
            found[name] += [{**row, **known} for row in rows]
    return found


# ---- the files -----------------------------------------------------------------------------------


def plain(value: object) -> str:
    """A value as a CSV file holds it."""
    if isinstance(value, float):
        return str(round(value, 6))
    return "" if value is None else str(value)


def study(row: Mapping[str, str]) -> tuple[str, ...]:
    """What a row was measured on, and with what budget."""
    return tuple(row[name] for name in STUDY)


def kept(path: Path) -> list[dict[str, str]]:
    """The rows of a file."""
    return list(csv.DictReader(io.StringIO(path.read_text()))) if path.exists() else []


def merged(old: list[dict[str, str]], new: Iterable[Row]) -> list[dict[str, str]]:
    """The old rows of other studies, then the new ones."""
    fresh = [{name: plain(value) for name, value in row.items()} for row in new]
    done = {study(row) for row in fresh}
    return [row for row in old if study(row) not in done] + fresh


def written(rows: Sequence[Mapping[str, str]]) -> bytes:
    """Rows as CSV."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


# ---- the tables ----------------------------------------------------------------------------------

Rows = list[dict[str, str]]


def whole(rows: Rows, losses: Rows) -> Rows:
    """Of several studies of the same data and encoder, the rows of the one with most losses."""
    sizes: dict[tuple[str, ...], int] = {}
    for row in losses:
        sizes[study(row)] = sizes.get(study(row), 0) + 1
    largest = max(sizes, key=sizes.__getitem__)
    return [row for row in rows if study(row) == largest]


def with_ends(row: Mapping[str, str], name: str, form: str) -> str:
    """A figure and its interval, where it has one."""
    value, *ends = (row[name + end] for end in ("", "_low", "_high"))
    if not all(ends):
        return f"{float(value):{form}}"
    low, high = (f"{float(end):{form}}" for end in ends)
    return f"{float(value):{form}} ({low} to {high})"


def loss_table(rows: Rows) -> str:
    """Every loss, and what needs no training."""
    body = []
    for row in rows:
        name = row["loss"] if row["key"] else f"untrained: {row['loss']}"
        gap = with_ends(row, "auc_difference", "+.4f") if row["auc_difference"] else ""
        said = "" if row["standing"] == "default" else row["standing"]
        body.append(
            [name, with_ends(row, "auc", ".4f"), f"{100 * float(row['eer']):.2f}", gap, said]
        )
    return markdown(["loss", "AUC (95 %)", "EER %", "AUC to the default (95 %)", "shown"], body)


def margin_table(rows: Rows) -> str:
    """Both forms side by side, a row a margin."""
    body: dict[float, list[str]] = {}
    for row in rows:
        cells = body.setdefault(float(row["margin"]), [f"{float(row['margin']):g}"])
        means = f"{float(row['genuine_mean']):.2f}, {float(row['impostor_mean']):.2f}"
        cells += [f"{float(row['auc']):.4f}", f"{100 * float(row['eer']):.2f}", means]
    mean = "genuine, impostor mean"
    head = ["margin", "1 - s: AUC", "EER %", mean, "symmetric: AUC", "EER %", mean]
    return markdown(head, list(body.values()))


def curve_table(rows: Rows) -> str:
    """A row a loss: AUC after so many pictures."""
    seen = sorted({int(float(row["pictures"])) for row in rows})
    found = {(row["loss"], int(float(row["pictures"]))): f"{float(row['auc']):.3f}" for row in rows}
    body = [
        [name, *(found.get((name, n), "-") for n in seen)]
        for name in dict.fromkeys(row["loss"] for row in rows)
    ]
    return markdown(["AUC after pictures", *(f"{n:,}" for n in seen)], body)


def batch_table(losses: Rows) -> str:
    """A row a loss, a column a batch: the same pictures in all, in fewer and larger batches."""
    budgets = sorted({(int(row["people"]), int(row["steps"])) for row in losses})
    seen = budgets[0][0] * budgets[0][1]
    budgets = [(people, steps) for people, steps in budgets if people * steps == seen]
    found = {(row["loss"], int(row["people"]), int(row["steps"])): row for row in losses}
    body = []
    for name in dict.fromkeys(row["loss"] for row in losses if row["key"]):
        cells = [found.get((name, *budget)) for budget in budgets]
        if all(cells):
            body.append(
                [name, *(f"{float(c['auc']):.4f}, {100 * float(c['eer']):.1f}" for c in cells if c)]
            )
    head = [f"{people} x {losses[0]['each']}, {steps} steps" for people, steps in budgets]
    return markdown(["AUC, EER %", *head], body)


def result_table(losses: Rows) -> str:
    """A line a study: what the default reaches, what stands beside it, and how sure that is."""

    def said(row: Mapping[str, str]) -> str:
        return f"{float(row['auc']):.4f}, {100 * float(row['eer']):.1f}"

    body = []
    for data, encoder in dict.fromkeys((row["data"], row["encoder"]) for row in losses):
        mine = [row for row in losses if (row["data"], row["encoder"]) == (data, encoder)]
        rows = whole(mine, mine)
        by_auc = sorted(rows, key=lambda row: -float(row["auc"]))
        (default,) = (row for row in rows if row["key"] == "default")
        others = [row for row in by_auc if row["key"] not in ("", "default")]
        (pairs,) = (row for row in rows if row["key"] == "pairs-torch")
        untrained = next(row for row in by_auc if not row["key"])
        shown = [sum(row["standing"] == way for row in others) for way in ("better", "worse")]
        body.append(
            [
                f"{data}, {ENCODERS[encoder]}",
                f"{default['test_identities']} of {default['identities']}",
                f"{with_ends(default, 'auc', '.4f')}, {100 * float(default['eer']):.1f}",
                said(pairs),
                f"{others[0]['loss']}: {said(others[0])}",
                f"{untrained['loss']}: {said(untrained)}",
                f"{shown[0]}, {shown[1]}",
            ]
        )
    head = ["data, encoder", "identities tested", "default", "pairs, 1 - s", "best other loss"]
    return markdown([*head, "best untrained", "of 13 shown better, worse"], body)


def filled(page: str, files: Mapping[str, Rows]) -> str:
    """The page with every table that its markers name."""
    for kind, data, encoder in re.findall(
        r"<!-- (losses|margins|curves|batches) (\S+) (\S+):begin -->", page
    ):
        mine = {
            name: [row for row in rows if (row["data"], row["encoder"]) == (data, encoder)]
            for name, rows in files.items()
        }
        losses = whole(mine["losses"], mine["losses"])
        table = {
            "losses": lambda losses=losses: loss_table(losses),
            "margins": lambda mine=mine: margin_table(whole(mine["margins"], mine["losses"])),
            "curves": lambda mine=mine: curve_table(whole(mine["curves"], mine["losses"])),
            "batches": lambda mine=mine: batch_table(mine["losses"]),
        }[kind]()
        page = fill(page, f"{kind} {data} {encoder}", table)
    return fill(page, "results", result_table(files["losses"]))


def main() -> None:
    """Merge the rows and fill the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("page", type=Path, help="page with the markers")
    parser.add_argument("results", type=Path, nargs="*", help="comparison.json")
    asked = parser.parse_args()
    results = [rows_of(json.loads(path.read_text(encoding="utf-8"))) for path in asked.results]
    files = {}
    for name in ("losses", "margins", "curves"):
        path = HERE / f"{name}.csv"
        files[name] = kept(path)
        for rows in results:
            files[name] = merged(files[name], rows[name])
        if results and files[name]:
            write_whole(path, written(files[name]))
    page = filled(asked.page.read_text(encoding="utf-8"), files)
    write_whole(asked.page, page.encode())


if __name__ == "__main__":
    main()
