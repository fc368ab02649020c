"""Sphinx configuration: user guide in Markdown, API reference from docstrings, a gallery."""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "_extensions")]

import segcate

project = "segcate"
author = "The segcate founders"
copyright = "2026, the segcate founders"
version = release = segcate.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "offline",  # ours: formulas as MathML, where sources stand
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
exclude_patterns = ["_build", "examples/**"]
html_theme = "pydata_sphinx_theme"
html_title = "segcate"
html_static_path = ["_static"]
html_css_files = ["segcate.css"]
html_sidebars = {"index": [], "ko": [], "changes": []}
html_math_renderer = "mathml"
html_copy_source = False
smartquotes = False  # options are copied from the pages: "att", not its typeset form
html_show_sourcelink = False
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

# numpydoc lists methods and attributes of a class; the template of autosummary would list them again,
# and looks for fields in the public package, where no source of theirs stands.
templates_path = ["_templates"]
autosummary_generate = True
# Methods stand on their class's page; inherited ones are scikit-learn's and documented there.
numpydoc_show_class_members = True
numpydoc_show_inherited_class_members = False
numpydoc_class_members_toctree = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    # This one is shown, not run: its data may not be published with segcate.
    "filename_pattern": r"plot_(?!hillstrom)",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,  # its table fetches a script from another host
    "remove_config_comments": True,
}


def escape_fitted_names(app, what, name, obj, options, lines):
    """Keep ``(n_features_in_,)`` from being read as a link, which RST ends with an underscore."""
    lines[:] = [re.sub(r"\((\w+)_,", r"(\1\\_,", line) for line in lines]


def setup(app):
    """Connect what runs before numpydoc reads a docstring."""
    app.connect("autodoc-process-docstring", escape_fitted_names, priority=400)
