"""Make the slides: one self-contained page a chapter, which fetches nothing when it is opened.

``make slides`` writes ``build/slides/NN_….html`` from the saved notebooks; nothing is executed.
``python tools/make_slides.py 05`` makes one. reveal.js comes from the package sphinx-revealjs,
MathJax from sphinx-mathjax-offline. Pages are filled in the browser (``slides.js``), because only
there it is known how much fits.
"""

from __future__ import annotations

import argparse
import base64
import re
import struct
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
from a11y_pygments.a11y_high_contrast_light.style import Theme
from bs4 import BeautifulSoup
from jinja2 import Environment, FileSystemLoader
from nbconvert.filters import Highlight2HTML, ansi2html
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments.formatters import HtmlFormatter

from course_utils.errors import CourseError
from execute_notebooks import check_outputs, find_notebooks
from set_up import EDITIONS

TOOLS = Path(__file__).resolve().parent
TARGET = TOOLS.parent / "build" / "slides"
WIDTH, LARGEST = 1200, 600  # pixels: what a page leaves for a picture
# Labels in the pictures have 10 points at 100 dots an inch, 13.9 pixels; 16 are wanted.
SMALLEST_SCALE = 1.16
MOST_LINES = 12  # of code on a page


def package_folder(name: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"The package {name} is missing: run `make slides` in the course.")
    return Path(spec.origin).parent


def markdown_blocks(text: str) -> list[str]:
    """HTML of each paragraph, list, heading and table of a Markdown cell."""
    renderer = IPythonRenderer(escape=False, exclude_anchor_links=True)
    soup = BeautifulSoup(MarkdownWithMath(renderer=renderer).render(text), "html.parser")
    for heading in soup.find_all(re.compile("^h[1-6]$")):
        del heading["id"]  # a page that is continued would have it twice
    for head in soup.find_all("thead"):
        if not head.get_text(strip=True):
            head.decompose()
    for link in soup.find_all("a", href=re.compile(r"\.ipynb")):
        link["href"] = str(link["href"]).replace(".ipynb", ".html")
    return [str(child) for child in soup.children if str(child).strip()]


def picture(png: str, alt: str) -> str:
    """HTML of a PNG (base64), enlarged to the page, with the smallest height it may shrink to."""
    width, height = struct.unpack(">II", base64.b64decode(png[:64])[16:24])
    scale = min(WIDTH / width, LARGEST / height)
    tag = BeautifulSoup("", "html.parser").new_tag("img")
    tag["src"] = "data:image/png;base64," + png.replace("\n", "")
    tag["alt"] = alt
    tag["style"] = f"height: {scale * height:.0f}px"
    tag["data-smallest"] = str(round(SMALLEST_SCALE * height))
    tag["data-scale"] = f"{scale:.3f}"
    return str(tag)


def output_block(output: dict[str, Any]) -> str:
    """HTML of an output: a picture before HTML before text."""
    if output["output_type"] == "stream":
        return f"<pre>{ansi2html(output['text'].rstrip())}</pre>"
    if output["output_type"] == "error":
        return f"<pre>{ansi2html(output['ename'] + ': ' + output['evalue'])}</pre>"
    data = output["data"]
    if "image/png" in data:
        return picture(data["image/png"], output["metadata"]["image/png"]["alt"])
    if "text/html" in data:
        return str(data["text/html"])
    return f"<pre>{ansi2html(data['text/plain'])}</pre>"


def pieces(code: str, most: int = MOST_LINES) -> list[str]:
    """Cut code that is too long for a page, at a blank line where there is one."""
    lines = code.split("\n")
    if len([line for line in lines if line.strip()]) <= most:
        return [code]
    blank = [n for n, line in enumerate(lines[: most + 1]) if not line.strip() and n > 2]
    end = blank[-1] if blank else most
    rest = "\n".join(lines[end:]).strip("\n")
    return ["\n".join(lines[:end]), *pieces(rest, most)]


def cell_blocks(cell: dict[str, Any], highlight: Highlight2HTML) -> list[dict[str, Any]]:
    """The blocks of a cell, in their order: what kind each is and its HTML."""
    if cell["cell_type"] == "markdown":
        return [{"kind": "text", "html": html} for html in markdown_blocks(cell["source"])]
    blocks: list[dict[str, Any]] = []
    for number, piece in enumerate(pieces(cell["source"].rstrip())):
        blocks.append({"kind": "code", "html": highlight(piece), "continued": number > 0})
    for output in cell["outputs"]:
        blocks.append({"kind": "output", "html": output_block(output)})
    return blocks


def heading_of(blocks: list[dict[str, Any]]) -> str:
    """The text of the first heading in ``blocks``, without formulas' dollar signs."""
    found = BeautifulSoup("".join(b["html"] for b in blocks if b["kind"] == "text"), "html.parser")
    heading = found.find(re.compile("^h[1-6]$"))
    return heading.get_text().replace("$", "") if heading else ""


def chapter(notebook: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What is shown of a chapter: sections of pages of blocks, and notes for the speaker.

    The slide types are those of Jupyter: `slide` begins a section, `subslide` a page; `fragment`
    and `-` go on with the page; `skip` is left out. `notes` are for all pages since the notes
    before; a page holds the number of its notes. An output that answers a question (`hide-output`,
    which the book folds) begins a page, so that the class can guess first.
    """
    highlight = Highlight2HTML(pygments_lexer="ipython3")
    found: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    for cell in notebook["cells"]:
        kind = cell["metadata"].get("slideshow", {}).get("slide_type", "-")
        tags = set(cell["metadata"].get("tags", []))
        if kind == "skip" or {"solution", "check"} & tags:
            continue
        if kind == "notes":
            minutes = re.match(r"\*(?:For the teacher, |教师提示，)(\d+) ", cell["source"])
            html = "\n".join(markdown_blocks(cell["source"]))
            notes.append({"minutes": int(minutes.group(1)) if minutes else 0, "html": html})
            continue
        blocks = cell_blocks(cell, highlight)
        if kind == "slide" or not found:
            found.append({"title": heading_of(blocks), "pages": []})
        pages = found[-1]["pages"]
        if kind in ("slide", "subslide") or not pages:
            pages.append({"note": len(notes), "blocks": []})
        if kind == "fragment":
            for block in blocks:
                block["fragment"] = True
        for block in blocks:
            answers = block["kind"] == "output" and "hide-output" in tags
            answers = answers and pages[-1]["blocks"][-1]["kind"] != "output"
            if answers or block.get("continued"):
                pages.append({"note": len(notes), "blocks": []})
            pages[-1]["blocks"].append(block)
    return {"sections": found, "notes": notes}


def script(path: Path) -> str:
    """The text of a script so that it can stand between script tags."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^//# sourceMappingURL=.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"</(script)", r"<\\/\1", text, flags=re.IGNORECASE)


def make(path: Path, target: Path, language: str = "en") -> Path:
    """Make the slides of the notebook ``path`` in the folder ``target``; return their file."""
    notebook = nbformat.read(path, as_version=4)
    reveal = package_folder("sphinx_revealjs") / "_static" / "revealjs"
    mathjax = package_folder("sphinx-mathjax-offline") / "static" / "mathjax"
    template = Environment(loader=FileSystemLoader(TOOLS), autoescape=False).get_template(
        "slides.html"
    )
    page = template.render(
        **chapter(notebook),
        language={"zh": "zh-CN"}.get(language, language),
        styles=[
            (reveal / "dist" / "reset.css").read_text(encoding="utf-8"),
            (reveal / "dist" / "reveal.css").read_text(encoding="utf-8"),
            HtmlFormatter(style=Theme).get_style_defs(".highlight"),
            (TOOLS / "slides.css").read_text(encoding="utf-8"),
        ],
        mathjax=script(mathjax / "tex-svg-full.js"),
        scripts=[
            script(reveal / "dist" / "reveal.js"),
            script(reveal / "plugin" / "notes" / "notes.js"),
            script(TOOLS / "slides.js"),
        ],
    )
    target.mkdir(parents=True, exist_ok=True)
    slides = target / f"{path.stem}.html"
    slides.write_text(page, encoding="utf-8")
    return slides


def main() -> int:
    """Make the slides of the chapters that the command line names. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Make the slides of the chapters.")
    parser.add_argument("names", nargs="*", help="a file or a number like 03; all by default")
    parser.add_argument("--to", type=Path, help="the folder (build/slides)")
    parser.add_argument("--edition", choices=sorted(EDITIONS), default="en", help="their language")
    arguments = parser.parse_args()
    target = arguments.to
    if target is None:
        target = TARGET if arguments.edition == "en" else TARGET.with_name("slides-zh")
    try:
        paths = find_notebooks(arguments.names, TOOLS.parent / EDITIONS[arguments.edition])
        check_outputs(paths)
        for path in paths:
            print(make(path, target, arguments.edition), flush=True)
    except (FileNotFoundError, CourseError) as error:
        print(error, file=sys.stderr)
        return 2
    print("Open one in a browser. Keys: S the speaker's view, F full screen, ? all others.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
