"""Sphinx configuration of the book, whose sources ``tools/make_book.py`` lays together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from docutils import nodes

CHINESE = os.environ.get("COURSE_LANG") == "zh"
project = "Speech recognition, from a waveform to a recogniser"
html_title = "Speech recognition"
language = "en"
if CHINESE:
    project, html_title, language = "语音识别：从波形到识别器", "语音识别", "zh_CN"
    html_search_options = {"dict": str(Path(__file__).with_name("terms.txt"))}
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

nb_execution_mode = "off"  # the saved outputs are shown
nb_code_prompt_show = "显示答案" if CHINESE else "Show the answer"
nb_code_prompt_hide = "隐藏答案" if CHINESE else "Hide the answer"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath"]

# Mathematics from a script in the book itself: SVG, because fonts can't be read from file://.
mathjax_path = "tex-svg-full.js"
mathjax3_config = {"options": {"enableMenu": False}}

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
html_domain_indices = False
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # it would read other pages, which file:// forbids
html_context = {"default_mode": "light"}
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_repository_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "navbar_persistent": [],  # the search stands in the left column
}

autodoc_default_options = {"members": True}
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
default_role = "code"
napoleon_numpy_docstring = False  # all are in Google's style
napoleon_custom_sections = ["Source"]


def _mend_table_heads(app: Any, doctree: Any) -> None:
    """Markdown asks for a heading row; an empty one says nothing to those who hear the page."""
    for head in list(doctree.findall(nodes.thead)):
        if not head.astext().strip():
            head.parent.remove(head)
            continue
        for entry in head.findall(nodes.entry):
            if not entry.astext().strip():
                entry.children = [nodes.paragraph("", "–")]


def _name_sidebar(app: Any, error: Exception | None) -> None:
    """Make the theme's left column a landmark, as accessibility asks of all content."""
    before = '<div id="pst-primary-sidebar"'
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if before in text:
            landmark = f'{before} role="navigation" aria-label="Book"'
            page.write_text(text.replace(before, landmark), encoding="utf-8")


def setup(app: Any) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("doctree-read", _mend_table_heads)
    app.connect("build-finished", _name_sidebar)
