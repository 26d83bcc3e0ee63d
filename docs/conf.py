"""Sphinx settings: the pages are Markdown, the reference comes from the docstrings; a warning is an error."""

from napari_selfdeconv import __version__

project = "napari-selfdeconv"
author = "The napari-selfdeconv developers"
project_copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
# The docstrings are numpydoc; their single backticks are names, not links that must resolve.
napoleon_google_docstring = False
napoleon_use_rtype = False
default_role = "code"
# Words of a description such as "name" are looked up as names, and several classes have an attribute of that name.
suppress_warnings = ["ref.python"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"

html_theme = "furo"
html_title = "napari-selfdeconv"
html_show_sphinx = False
