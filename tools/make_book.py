"""Make the book: the chapters, the glossary, the package and the instructor's kit as a website.

``make book`` writes ``build/book/``; open ``index.html`` in it. Nothing is executed and nothing is
fetched. A warning of Sphinx is an error.
"""

from __future__ import annotations

import argparse
import html
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat

import make_demo
from course_utils.errors import CourseError
from execute_notebooks import check_outputs, find_notebooks
from set_up import EDITIONS

REPOSITORY = Path(__file__).resolve().parents[1]
BOOK = REPOSITORY / "book"
TARGET = REPOSITORY / "build" / "book"
# Pages that are files of the repository.
PAGES = {
    "datasheet.md": "data/README.md",
    "results.md": "tests/benchmarks/RESULTS.md",
    "authors.md": "CONTRIBUTING.md",
}


def label(path: Path, heading: str) -> str:
    """The name by which the book refers to a section of a notebook."""
    return path.stem[:2] + "-" + re.sub(r"\W+", "-", heading.lower()).strip("-")


def with_labels(path: Path, text: str) -> str:
    """Markdown with a name before each heading."""
    return re.sub(
        r"^#{1,3} (.+)$",
        lambda found: f"({label(path, found[1])})=\n{found[0]}",
        text,
        flags=re.MULTILINE,
    )


def headings(source: str) -> list[str]:
    """The headings of a Markdown cell."""
    return re.findall(r"^#{1,3} (.+)$", source, flags=re.MULTILINE)


def book_notebook(path: Path) -> dict[str, Any]:
    """A notebook as the book shows it: with names at its headings and pictures as HTML.

    MyST-NB leaves out the text alternative that a picture's output carries.
    """
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts = re.split(r"(```.*?```)", cell.source, flags=re.DOTALL)
            parts[::2] = [with_labels(path, part) for part in parts[::2]]  # not in quoted code
            cell.source = "".join(parts)
            continue
        for output in cell.outputs:
            png = output.get("data", {}).pop("image/png", None)
            if png:
                alt = html.escape(output.metadata["image/png"]["alt"], quote=True)
                output.data = {
                    "text/html": f'<img alt="{alt}" src="data:image/png;base64,{png.strip()}">'
                }
                output.metadata = {}
    return dict(notebook)


def introductions(notebooks: list[Path]) -> list[tuple[str, str, str]]:
    """For each prose cell, in order: its text, and the number and name of its section."""
    found = []
    for path in notebooks:
        number = name = ""
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type != "markdown" or "teacher" in cell.metadata.get("tags", []):
                continue
            # Comments of quoted code are no headings.
            text = re.sub(r"```.*?```", "", cell.source, flags=re.DOTALL)
            parts = re.split(r"^(?=#{1,3} )", text, flags=re.MULTILINE)
            for part in parts:
                for heading in headings(part):
                    name = label(path, heading)
                    section = re.match(r"\d+(\.\d+)?", heading)
                    if section:
                        number = section[0]
                    elif not part.startswith("###"):
                        number = f"{int(path.stem[:2])}, {heading.split(' (')[0]}"
                found.append((part, number, name))
    return found


def introduces(text: str, term: str) -> bool:
    """Whether a text gives a term: alone in brackets, before them, or in a heading.

    A part of a longer word does not count: 熵 is not introduced where 交叉熵 is.
    """
    if term.isascii():
        return re.search(rf"\b{re.escape(term)}\b", text, flags=re.IGNORECASE) is not None
    edge = r"[\s()（）、，,;；/:：*“”]"
    return re.search(rf"(?:^|{edge}){re.escape(term)}(?:{edge}|$)", text, re.MULTILINE) is not None


def introduces_in_chinese(text: str, english: str, term: str, longer: list[str]) -> bool:
    """Whether a text in Chinese gives a term: in a heading, or beside its English name.

    The two stand as 中文（English）, 中文 `english`, **English**（中文）or（中文，English）. The
    English need not be the glossary's to the letter: 权重共享（weight sharing）counts for shared
    weights. A term of ``longer`` that ends in this one does not: 交叉熵（cross-entropy）is no 熵.
    """
    edge = r"[\s、，：（）()·与和的]"
    bounded = re.compile(rf"(?:^|{edge}){re.escape(term)}(?:{edge}|$)")
    if any(bounded.search(heading) for heading in headings(text)):
        return True
    name = re.escape(re.sub(r" \(.*\)", "", english))
    if short := re.search(r"\(([A-Z]+)\)", english):
        name = rf"{name}|\b{short[1]}"
    if re.search(rf"(?:[*`]{name})[*`]*（{re.escape(term)}[），]", text, re.IGNORECASE):
        return True
    for bracket in re.findall(r"（([^（）]+)）", text):
        parts = bracket.split("，")
        if term in parts and any(re.match(r"[A-Za-z]", part) for part in parts):
            return True
    stems = tuple(word[:4] for word in re.findall(r"[a-z]{3,}", english.lower()))
    for found in re.finditer(rf"{re.escape(term)}(?:[*”]*（([^）]+)）| `(\w+)`)", text):
        words = re.findall(r"[a-z]{3,}", (found[1] or found[2]).lower())
        whole = text[: found.start()] + term
        if any(word.startswith(stems) for word in words) and not whole.endswith(tuple(longer)):
            return True
    return False


def glossary(text: str, notebooks: list[Path]) -> tuple[str, list[str]]:
    """The glossary with a link in each row, and the terms that no chapter introduces.

    A row is `| English | 中文 | meaning |`; the link leads to the section that first has the
    Chinese term, or the English one where it has no Chinese. Glossary and notebooks are Chinese
    where the header says 含义 for meaning.
    """
    cells = introductions(notebooks)
    rows = [re.fullmatch(r"\| (.+?) \| (.+?) \| (.+) \|", line) for line in text.splitlines()]
    known = [term for row in rows if row for term in row[2].split("、")]
    chinese = any(row and row[3] == "含义" for row in rows)
    column, comma = ("小节", "，") if chinese else ("introduced in", ", ")

    def gives(part: str, row: re.Match[str]) -> bool:
        terms = row[2].split("、") if row[2] != "–" else [row[1]]
        if not chinese:
            return any(introduces(part, term) for term in terms)
        longer = {term: [k for k in known if k.endswith(term) and k != term] for term in terms}
        return any(introduces_in_chinese(part, row[1], term, longer[term]) for term in terms)

    def stressed(part: str, row: re.Match[str]) -> bool:
        term = re.escape(row[2])
        return chinese and re.search(rf"\*\*{term}\*\*(?!（)|（{term}）", part) is not None

    lines, missing = [], []
    for line, row in zip(text.splitlines(), rows, strict=True):
        if not row or row[1] == "English":
            lines.append(f"{line[:-1]}| {column} |" if row else line)
            if line.startswith("|---"):
                lines[-1] = line + "---|"
            continue
        places = (cell for rule in (gives, stressed) for cell in cells if rule(cell[0], row))
        place = next(places, None)
        if place is None:
            missing.append(row[1])
        else:
            number = place[1].replace(", ", comma)
            lines.append(f"{line} {{ref}}`{number} <{place[2]}>` |")
    return "\n".join(lines) + "\n", missing


def without_local_links(text: str) -> str:
    """Markdown whose links to files of the repository are words only: the book lacks the files."""
    return re.sub(r"\[([^]]+)\]\((?!https?://|#)[^)]*\)", r"\1", text)


def lay_together(source: Path, edition: str = "en") -> list[str]:
    """Write the sources of the book into ``source``; return glossary terms that are nowhere."""
    pages = BOOK if edition == "en" else REPOSITORY / edition
    shutil.rmtree(source, ignore_errors=True)
    for folder in ("instructor", "images", "sheets"):
        place = pages if (pages / folder).is_dir() else BOOK
        shutil.copytree(place / folder, source / folder)
    for path in [BOOK / "conf.py", *BOOK.glob("*.md"), *pages.glob("*.md")]:
        if path.name != "README.md":
            shutil.copy(path, source)
    for name, original in PAGES.items():
        if (pages / name).is_file():  # the datasheet's first page in Chinese
            continue
        text = (REPOSITORY / original).read_text(encoding="utf-8")
        (source / name).write_text(without_local_links(text), encoding="utf-8")
    notebooks = find_notebooks([], REPOSITORY / EDITIONS[edition])
    (source / "notebooks").mkdir()
    for path in notebooks:
        content = nbformat.from_dict(book_notebook(path))
        nbformat.write(content, source / "notebooks" / path.name)
    terms, missing = glossary((pages / "glossary.md").read_text(encoding="utf-8"), notebooks)
    (source / "glossary.md").write_text(terms, encoding="utf-8")
    # The course's terms, so that the Chinese search cuts the text at them.
    words = re.findall(r"^\| .+? \| (.+?) \| ", terms, flags=re.MULTILINE)
    chinese = [word for row in words for word in row.split("、") if not word.isascii()]
    (source / "terms.txt").write_text("".join(f"{w} 1000\n" for w in chinese), encoding="utf-8")
    static = source / "_static"
    static.mkdir()
    for name in ("book.css", "book.js"):
        shutil.copy(BOOK / name, static)
    mathjax = find_spec("sphinx-mathjax-offline")
    assert mathjax is not None and mathjax.origin is not None
    script = Path(mathjax.origin).parent / "static" / "mathjax" / "tex-svg-full.js"
    shutil.copy(script, static)
    return missing


def mend_search(book: Path) -> None:
    """Give the Chinese search its stemmer: Sphinx 9.0 calls it by a name that it never defines.

    Chinese words have no endings, so the stemmer is that of English, which is in the same file.
    """
    path = book / "_static" / "language_data.js"
    text = path.read_text(encoding="utf-8")
    mended = text.replace("window.Stemmer = ChineseStemmer", "window.Stemmer = EnglishStemmer")
    path.write_text(mended, encoding="utf-8")


def main() -> int:
    """Make the book. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Make the book.")
    parser.add_argument("--to", type=Path, help="the folder (build/book)")
    parser.add_argument("--edition", choices=sorted(EDITIONS), default="en", help="its language")
    arguments = parser.parse_args()
    edition = arguments.edition
    target = arguments.to or (TARGET if edition == "en" else TARGET.with_name(f"book-{edition}"))
    target = target.resolve()
    source = target.with_name(target.name + "_source")
    try:
        check_outputs(find_notebooks([], REPOSITORY / EDITIONS[edition]))
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    if target.exists() and any(target.iterdir()) and not (target / ".buildinfo").exists():
        print(f"{target} holds something else than a book: name an empty folder.", file=sys.stderr)
        return 2
    missing = lay_together(source, edition)
    if missing:
        print(f"Left out of the glossary, as no chapter introduces them: {', '.join(missing)}")
    shutil.rmtree(target, ignore_errors=True)
    doctrees = target.with_name(target.name + "_doctrees")
    options = ["-b", "html", "-W", "--keep-going", "-q", "-d", str(doctrees)]
    command = [sys.executable, "-m", "sphinx", *options, str(source), str(target)]
    environment = os.environ | {"COURSE_LANG": edition}
    status = subprocess.call(command, cwd=REPOSITORY, env=environment)
    if status == 0:
        mend_search(target)
        make_demo.make(target / "recogniser_page.html")
        print(f"The book: {target / 'index.html'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
