"""The site: pages in Markdown, the API from docstrings, the commands from the command line itself.

Nothing is fetched, neither by the build nor by a reader's browser.
"""

import sys
from pathlib import Path

import cospair

sys.path.insert(0, str(Path(__file__).parent))

project = "cospair"
author = "The cospair maintainers"
project_copyright = "The cospair maintainers"
version = release = cospair.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "extensions.commands",
    "extensions.docstrings",
    "extensions.formulas",
    "extensions.loss_picture",
    "extensions.names",
]
exclude_patterns = ["extensions"]

# ---- pages -------------------------------------------------------------------------------------

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3  # a link to page.md#a-heading resolves here as it does on GitHub
nitpicky = True
# names of other libraries have no inventory here, because nothing is fetched
nitpick_ignore_regex = [("py:.*", r"(?!cospair\.).*")]
nitpick_ignore = [("py:class", "cospair.data.samplers.Batch")]  # a type variable
smartquotes_action = "D"  # dashes alone: a quote may stand for itself

# ---- docstrings --------------------------------------------------------------------------------

default_role = "name"  # what stands between single backticks
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_type_aliases = {
    "ArrayLike": "ArrayLike",
    "Kernel": "cospair.kernels.Kernel",
    "Reduction": "cospair.Reduction",
    "AllPairsReduction": "cospair.AllPairsReduction",
    "NDArray": "NDArray",
}
toc_object_entries_show_parents = "hide"
napoleon_numpy_docstring = False
napoleon_attr_annotations = False  # the signature has them
napoleon_use_ivar = True
napoleon_use_rtype = False

# ---- looks -------------------------------------------------------------------------------------

html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "cospair"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_copy_source = False
