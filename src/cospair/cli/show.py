"""Results as tables of 80 columns, their numbers rounded as the report rounds them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cospair.report import formats
from cospair.report.standings import SAID, many_comparisons, reference_of, standing, standings

Write = Callable[[float | None], str]
_TAR = "tar@far=0.01"
# Figures of retrieval that are shares, by their key.
_RANKS = {"map": "mAP", "map_at_r": "MAP@R", "r_precision": "R-precision", "minp": "mINP"}


def as_json(result: dict[str, Any]) -> None:
    """Print a result as JSON."""
    print(json.dumps(result, indent=2, allow_nan=False))


def line(words: str) -> None:
    """Print one line as it is."""
    Console().print(words, highlight=False, markup=False)


def figures(result: dict[str, Any]) -> None:
    """Print the result of `evaluate`."""
    table = _table(result["title"])
    notes: dict[str, list[str]] = {}
    if result.get("verification"):
        _verification_rows(table, result["verification"], notes)
    if result.get("lfw"):
        _lfw_rows(table, result["lfw"])
    if result.get("retrieval"):
        _retrieval_rows(table, result["retrieval"], notes)
    if result.get("open_set"):
        _open_set_rows(table, result["open_set"])
    if result.get("threshold"):
        unseen = result["data"].get("train") is not None
        on = "on unseen people" if unseen else "on test people"
        _threshold_rows(table, result["threshold"], "test", on)
        reasons = (result["threshold"]["test"].get("interval") or {}).get("notes", {})
        shown = {name: why for name, why in reasons.items() if name in ("far", "frr")}
        _collect(notes, {f"{name.upper()} {on}": why for name, why in shown.items()})
    if result.get("calibration"):
        cost = result["calibration"]
        interval = _interval(cost.get("cllr_interval"), formats.plain)
        table.add_row("Cllr, bits", _plain(formats.plain(cost["cllr"])), interval)
        table.add_row("min Cllr, bits", _plain(formats.plain(cost["min_cllr"])))
    _left_out_rows(table, result["data"].get("skipped") or ())
    console = Console()
    console.print(table)
    for reason, names in notes.items():
        words = f"no interval for {', '.join(names)}: {reason}"
        console.print(words, style="dim", highlight=False, markup=False)


def comparison(result: dict[str, Any]) -> None:
    """Print the result of `evaluate A B`."""
    found = result["comparison"]["figures"]
    table = Table(title=escape(result["title"]), box=None, title_justify="left", padding=(0, 1))
    for head in ("", "A", "B", "B - A", "95 % interval"):
        table.add_column(head, justify="right" if head else "left", overflow="fold")
    for name, entry in found.items():
        write = formats.decimal if name == "auc" else formats.percent
        values = [_plain(write(entry[key])) for key in ("a", "b")]
        change = "" if entry["difference"] is None else _signed(entry["difference"], write)
        ends = entry["difference_interval"]
        interval = "" if ends is None else " .. ".join(_signed(end, write) for end in ends)
        table.add_row(figure_name(name), *values, change, interval)
    Console().print(table)
    for name, entry in found.items():
        line(f"{figure_name(name)}: {_in_capitals(entry['verdict'])}")
    line(result["comparison"]["note"])


def losses(result: dict[str, Any]) -> None:
    """Print the result of `compare`."""
    for part in result["encoders"]:
        _losses_of(f"{result['title']}, {part['encoder']}", part)
    for one in result["left_out"]:
        line(f"left out: {one['name']}; {one['reason']}")
    line(many_comparisons(result["encoders"]))


def _losses_of(title: str, part: dict[str, Any]) -> None:
    table = Table(title=escape(title), box=None, title_justify="left", padding=(0, 1))
    table.add_column("", overflow="fold")
    for head in ("AUC", "EER", "TAR@1 %", "to default", "", "s"):
        table.add_column(head, justify="right" if head else "left", overflow="fold")
    for one in part["contenders"]:
        _loss_row(table, one)
    table.add_section()
    for one in part["baselines"]:
        _loss_row(table, {**one, "name": f"untrained: {one['name']}"})
    Console().print(table)
    found = standings(part["contenders"])
    line(f"by AUC, against {reference_of(part)['name']}:")
    for kind, words in SAID:
        if found[kind] or kind in ("better", "worse"):
            line(f"{words}: {'; '.join(found[kind]) or 'none'}")
    most = max(len(one["settings_tried"]) for one in part["contenders"])
    tried = f"{most} settings were tried for each loss" if most > 1 else "nothing was tried"
    line(f"{tried} but the default, chosen on people neither trained on nor tested\n")


def _loss_row(table: Table, one: dict[str, Any]) -> None:
    """A loss or a baseline, which took no training."""
    writes = {"auc": formats.decimal, "eer": formats.percent, _TAR: formats.percent}
    values = (_plain(write(one["figures"][name]["value"])) for name, write in writes.items())
    stand, gap = standing(one), ""
    if stand != "default" and one["against_reference"]["auc"]["difference"] is not None:
        gap = _signed(one["against_reference"]["auc"]["difference"], formats.decimal)
    seconds = f"{one['seconds']:.3g}" if "seconds" in one else ""
    mark = "" if stand == "default" else stand
    table.add_row(escape(one["name"]), *values, gap, mark, seconds)


def _in_capitals(verdict: str) -> str:
    """A verdict that calls the models what the table does."""
    for words in ("a is better", "b is better", "b - a"):
        verdict = verdict.replace(words, words.replace("a is", "A is").replace("b is", "B is"))
    return verdict.replace("b - a", "B - A")


def training(record: dict[str, Any], out: Path) -> None:
    """Print the record of `train`."""
    table = _table(f"{record['data']['name']}, trained")
    counts = record["data"]["train"]
    table.add_row("trained on", f"{counts['identities']} people, {counts['pictures']} pictures")
    counts = record["data"]["test"]
    table.add_row("kept unseen", f"{counts['identities']} people, {counts['pictures']} pictures")
    _threshold_rows(table, record["threshold"], "calibration", "on calibration people")
    _left_out_rows(table, record["data"]["skipped"])
    table.add_row("next", f"cospair evaluate {shlex.quote(str(out))} --report report.html")
    Console().print(table)


def threshold(found: dict[str, Any]) -> None:
    """Print the result of `threshold`."""
    table = _table(f"threshold, rule {found['rule']}")
    rates = dict(found["calibration"])
    for name in ("far_interval", "frr_interval"):
        rates[name] = found[name]
    _threshold_rows(table, {**found, "rates": rates}, "rates", "on calibration people")
    pairs = (formats.count(rates[f"{kind}_pairs"]) for kind in ("genuine", "impostor"))
    table.add_row("pairs", _plain("{} genuine, {} impostor".format(*pairs)))
    table.add_row("file", escape(found["path"]))
    Console().print(table)


def embedding(result: dict[str, Any]) -> None:
    """Print the result of `embed`."""
    table = _table(f"{result['name']}, embedded")
    table.add_row("pictures", _plain(formats.count(result["pictures"])))
    table.add_row("identities", _plain(formats.count(result["identities"])))
    table.add_row("dimensions", str(result["dimensions"]))
    _left_out_rows(table, result["skipped"])
    if result["trained_on"]:
        words = f"{result['trained_on']} of the pictures: figures over them say too much"
        table.add_row("trained on", words)
    table.add_row("file", escape(result["path"]))
    Console().print(table)


def answer(found: dict[str, Any]) -> None:
    """Print the result of `match`."""
    table = Table("who", "score", "accepted", box=None, padding=(0, 2))
    for candidate in found["candidates"]:
        verdict = "yes" if candidate["accepted"] else "no"
        table.add_row(escape(candidate["name"]), f"{candidate['score']:.4f}", verdict)
    console = Console()
    console.print(f"query {found['query']}", style="italic", highlight=False, markup=False)
    console.print(table)
    best = found["candidates"][0]
    if found["question"] == "verify":
        words = "the same person" if best["accepted"] else "not the same person"
    else:
        words = f"it is {best['name']}" if best["accepted"] else "it is nobody enrolled"
    line(f"{words}: score {best['score']:.4f} against threshold {found['threshold']:.4f}")
    if "truth" in found:
        line(f"the picture shows {found['truth']}")
    for sentence in found.get("skipped", ()):
        line(sentence)


def figure_name(name: str) -> str:
    """A figure's key in words: 'tar@far=0.01' is 'TAR @ FAR 1 %'."""
    if name.startswith("tar@far="):
        return f"TAR @ FAR {_plain(formats.limit(float(name.removeprefix('tar@far='))))}"
    if name.startswith("cmc_"):
        return f"CMC@{name.removeprefix('cmc_')}"
    return {"auc": "AUC", "eer": "EER", **_RANKS}.get(name, name)


def _verification_rows(table: Table, found: dict[str, Any], notes: dict[str, list[str]]) -> None:
    count = formats.count
    pairs = f"{count(found['genuine_pairs'])} genuine, {count(found['impostor_pairs'])} impostor"
    table.add_row("pairs", pairs)
    if found["identities"] is not None:
        pictures = f", {count(found['pictures'])} pictures" if found["pictures"] else ""
        table.add_row("identities", f"{count(found['identities'])}{pictures}")
    reasons = found["interval"]["notes"]
    _figure_row(table, "auc", found["auc"], found["auc_interval"], formats.decimal)
    _figure_row(table, "eer", found["eer"], found["eer_interval"], formats.percent)
    for point in found["tar_at_far"]:
        name = f"tar@far={point['far']:g}"
        if point["tar"] is None:
            table.add_row(figure_name(name), point["note"])
            reasons = {key: words for key, words in reasons.items() if key != name}
        else:
            _figure_row(table, name, point["tar"], point["tar_interval"], formats.percent)
    _collect(notes, reasons)


def _retrieval_rows(table: Table, found: dict[str, Any], notes: dict[str, list[str]]) -> None:
    count = formats.count
    skipped = f", {count(found['skipped_queries'])} without a match"
    table.add_row("queries", count(found["queries"]) + skipped * bool(found["skipped_queries"]))
    for k, share in found["cmc"].items():
        _figure_row(table, f"cmc_{k}", share, found[f"cmc_{k}_interval"], formats.percent)
    for name in _RANKS:
        _figure_row(table, name, found[name], found[f"{name}_interval"], formats.percent)
    shot = found.get("single_gallery_shot")
    if shot:
        ends = shot["cmc_1_interval"]
        _row(table, "CMC@1, one shot", shot["cmc"]["1"], ends, formats.percent)
    _collect(notes, found["interval"]["notes"])


def _lfw_rows(table: Table, found: dict[str, Any]) -> None:
    mean, deviation = (_plain(formats.percent(found[key])) for key in ("accuracy", "accuracy_std"))
    table.add_row("LFW accuracy", mean, f"± {deviation} over {found['folds']} folds")


def _open_set_rows(table: Table, found: dict[str, Any]) -> None:
    count = formats.count
    mated, unmated = count(found["mated"]), count(found["unmated"])
    table.add_row("open set", f"{mated} probes enrolled, {unmated} not")
    for point in found["dir_at_false_alarm"]:
        name = f"DIR @ FA {_plain(formats.limit(point['false_alarm']))}"
        if point["dir"] is None:
            table.add_row(name, point["note"])
        else:
            _row(table, name, point["dir"], point.get("dir_interval"), formats.percent)


def _threshold_rows(table: Table, threshold: dict[str, Any], kind: str, on: str) -> None:
    rates = threshold[kind]
    allowed, rule = threshold.get("far_target"), f"rule {threshold['rule']}"
    if allowed is not None:
        rule = f"FAR at most {_plain(formats.limit(allowed))}"
    table.add_row("threshold", f"{threshold['threshold']:.4f}", rule)
    for name in ("far", "frr"):
        interval = _interval(rates.get(f"{name}_interval"), formats.percent)
        table.add_row(f"{name.upper()} {on}", _plain(formats.percent(rates[name])), interval)
    if threshold["chosen_on"]:
        table.add_row("chosen on", escape(threshold["chosen_on"]))


def _left_out_rows(table: Table, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        table.add_row("left out", escape(sentence.replace(" was left out:", ":", 1)))


def _figure_row(
    table: Table, name: str, value: float, ends: Sequence[float] | None, write: Write
) -> None:
    _row(table, figure_name(name), value, ends, write)


def _row(table: Table, name: str, value: float, ends: Sequence[float] | None, write: Write) -> None:
    table.add_row(name, _plain(write(value)), _interval(ends, write))


def _collect(notes: dict[str, list[str]], reasons: dict[str, str]) -> None:
    """Figures without an interval, by the reason."""
    for name, reason in reasons.items():
        notes.setdefault(reason.removeprefix("no interval: "), []).append(figure_name(name))


def _table(title: str) -> Table:
    table = Table(
        title=escape(title), show_header=False, box=None, title_justify="left", padding=(0, 2)
    )
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(style="dim")
    return table


def _interval(ends: Sequence[float] | None, write: Write) -> str:
    return "" if ends is None else " .. ".join(_plain(write(end)) for end in ends)


def _signed(value: float, write: Write) -> str:
    return f"{'-' if value < 0 else '+'}{_plain(write(abs(value)))}"


def _plain(words: str) -> str:
    """What the report writes, in characters that a terminal's reader can type."""
    return words.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-")
