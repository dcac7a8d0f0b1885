"""The picture of the loss: both forms over the cosine, and how hard they pull.

Nothing is drawn that the library has not computed: the curves are its loss and, by autograd, the
length of its gradient with respect to a row of length 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from cospair import cosine_embedding_loss
from cospair.bench.drawing import FAINT, INK, text

if TYPE_CHECKING:
    from sphinx.application import Sphinx

MARGIN = 0.25
FORMS = {
    "torch's form": ("positive_margin = 1", 1.0),
    "symmetric hinge": (f"positive_margin = margin = {MARGIN}", MARGIN),
}

_WIDTH, _HEIGHT = 860, 540
_GRID = "#e4e4e4"
# Distinct to colour-blind eyes (Okabe and Ito).
_COLOURS = {1: "#0072b2", -1: "#d55e00"}
_WIDTHS = {1: 4.4, -1: 2}  # the lower one shows beside the upper where they meet
_NAMES = {1: "genuine (+1)", -1: "impostor (-1)"}


class Curves(NamedTuple):
    """A kind of pair over all cosines."""

    cosines: list[float]
    losses: list[float]
    pulls: list[float]


class Panel(NamedTuple):
    """A plotting area of cosines from -1 to 1 and values from 0 to the highest."""

    left: float
    top: float
    height: float
    highest: float
    width: float = 350

    def across(self, s: float) -> float:
        """Where a cosine lies."""
        return self.left + (s + 1) / 2 * self.width

    def up(self, value: float) -> float:
        """Where a value lies."""
        return self.top + self.height * (1 - value / self.highest)


def setup(app: Sphinx) -> dict[str, Any]:
    """Draw the picture before pages are read."""
    app.connect("builder-inited", lambda app: draw(Path(app.srcdir) / "loss.svg"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def draw(path: Path) -> None:
    """Write the picture where it differs from what stands there."""
    words = picture()
    if not path.exists() or path.read_text() != words:
        path.write_text(words)


def picture() -> str:
    """Both forms side by side: the loss above, the pull below."""
    parts = [part for column, name in enumerate(FORMS) for part in _column(column, name)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'width="{_WIDTH}" height="{_HEIGHT}" role="img" '
            'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif">',
            "<title>The cosine embedding loss and its gradient: both forms</title>",
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def curves(target: int, positive_margin: float, *, points: int = 201) -> Curves:
    """Loss and length of the gradient, of unit rows at angles from 180 to 0 degrees."""
    angles = torch.linspace(math.pi, 0.0, points, dtype=torch.float64)
    x1 = torch.tensor([[1.0, 0.0]], dtype=torch.float64).repeat(points, 1).requires_grad_()
    x2 = torch.stack([angles.cos(), angles.sin()], dim=1)
    losses = cosine_embedding_loss(
        x1,
        x2,
        torch.full((points,), target),
        MARGIN,
        positive_margin=positive_margin,
        reduction="none",
    )
    (gradient,) = torch.autograd.grad(losses.sum(), x1)
    return Curves(angles.cos().tolist(), losses.tolist(), gradient.norm(dim=1).tolist())


def _column(column: int, name: str) -> list[str]:
    left = 56 + column * 430
    words, positive_margin = FORMS[name]
    loss, pull = Panel(left, 86, 200, 2.0), Panel(left, 338, 140, 1.0)
    kinds = {target: curves(target, positive_margin) for target in (1, -1)}
    return [
        text(left, 26, name, size=16, fill=INK, weight=600),
        text(left, 46, words),
        text(left, 74, "loss of the pair", fill=INK, weight=600),
        *_axes(loss, (0, 0.5, 1, 1.5, 2)),
        *(_line(loss, kind.cosines, kind.losses, target) for target, kind in kinds.items()),
        *_legend(loss),
        text(left, 326, "length of the gradient at a row of length 1", fill=INK, weight=600),
        *_axes(pull, (0, 0.5, 1)),
        *(_line(pull, kind.cosines, kind.pulls, target) for target, kind in kinds.items()),
        text(left + pull.width / 2, 522, "cosine similarity s", anchor="middle"),
    ]


def _axes(panel: Panel, ticks: Sequence[float]) -> list[str]:
    left, right, low = panel.left, panel.left + panel.width, panel.top + panel.height
    parts = []
    for value in ticks:
        y = panel.up(value)
        parts.append(f'<path d="M{left:.0f} {y:.1f}H{right:.0f}" stroke="{_GRID}"/>')
        parts.append(text(left - 8, y + 4, f"{value:g}", anchor="end"))
    for s in (-1, -0.5, 0, 0.5, 1):
        x = panel.across(s)
        parts.append(f'<path d="M{x:.1f} {panel.top:.0f}V{low:.0f}" stroke="{_GRID}"/>')
        parts.append(text(x, low + 18, f"{s:g}", anchor="middle"))
    x = panel.across(MARGIN)
    parts.append(
        f'<path d="M{x:.1f} {panel.top:.0f}V{low:.0f}" stroke="{FAINT}" stroke-dasharray="4 4"/>'
    )
    parts.append(text(x, low + 18, "margin", anchor="middle"))
    return parts


def _legend(panel: Panel) -> list[str]:
    right = panel.left + panel.width - 6
    return [
        text(right, panel.top + 38 - 18 * (target > 0), name, fill=colour, weight=600, anchor="end")
        for (target, name), colour in zip(_NAMES.items(), _COLOURS.values(), strict=True)
    ]


def _line(panel: Panel, cosines: Sequence[float], values: Sequence[float], target: int) -> str:
    places = zip(cosines, values, strict=True)
    path = " ".join(f"{panel.across(s):.1f},{panel.up(value):.1f}" for s, value in places)
    return (
        f'<polyline points="{path}" fill="none" stroke="{_COLOURS[target]}" '
        f'stroke-width="{_WIDTHS[target]}" stroke-linejoin="round"/>'
    )
