"""What every chart has around it: a heading, a legend, a stage to draw on, words and a table."""

from __future__ import annotations

from collections.abc import Sequence

from cospair.report.markup import text


def chart(
    name: str, title: str, drawing: str, *, caption: str = "", rows: str = "", broad: bool = False
) -> str:
    """Write a chart's panel; `drawing` and `rows` are HTML, `caption` is plain text."""
    name_of_class = "panel drawing broad" if broad else "panel drawing"
    told = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    return (
        f'<figure class="{name_of_class}" id="{name}" aria-labelledby="{name}-title">'
        f'<h3 id="{name}-title">{text(title)}</h3>{drawing}{told}{rows}</figure>'
    )


def stage(name: str, words: str) -> str:
    """Write the place that the page's script draws on; `words` tell the drawing to those blind."""
    return f'<div class="chart" id="{name}-chart" role="img" aria-label="{text(words)}"></div>'


def legend(marks: Sequence[tuple[str, str]]) -> str:
    """Write a list of marks: (class of the mark, what it stands for)."""
    items = "".join(f'<li><i class="mark {kind}"></i>{text(words)}</li>' for kind, words in marks)
    return f'<ul class="legend">{items}</ul>'


def far_axis_switch() -> str:
    """Write the choice between a logarithmic and a linear FAR axis."""
    return (
        '<fieldset class="switch"><legend>FAR axis</legend>'
        '<label><input type="radio" name="far-axis" value="log" checked> logarithmic</label>'
        '<label><input type="radio" name="far-axis" value="linear"> linear</label></fieldset>'
    )
