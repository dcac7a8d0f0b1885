"""Formulas as MathML, which browsers draw by themselves: no script, no fonts from elsewhere."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

_BAR = '<mo stretchy="false">|</mo>'  # around a length, where no space belongs


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer that `html_math_renderer` names."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(_mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="formula">{_mathml(node.astext(), as_block=True)}</div>\n')
    raise nodes.SkipNode


def _mathml(formula: str, *, as_block: bool) -> str:
    found = tex2mathml(formula, as_block=as_block)
    found = found.replace(_BAR, _BAR.replace(">", ' lspace="0" rspace="0">', 1))
    return found.replace(r"\_", "_")  # of names in \text{}, which is taken as it stands
