"""Make the Chinese notebooks: the code of the English ones, with the text of ``zh/notebooks``.

``python tools/chinese_edition.py`` writes ``notebooks/zh``, which is never edited. A text file has
one block a cell, in order::

    <!-- cell 1260c923 en=3f2a90c1 zh=77b01d52 -->
    Markdown, as free as a lecturer wants it.

    <!-- code 9f00ab12 en=5d1c20aa zh=0b7e44f1 -->
    # room for an echo => # 给回声留出余量
    alt: 上图是波形，下图是语谱图。

A cell of code has a block if it has comments or pictures. ``en`` is a digest of the English that
was translated, ``zh`` one of the Chinese when it was accepted. When an English cell changes, tests
fail and print the change; after the Chinese was brought up to date,
``python tools/chinese_edition.py accept 1260c923`` takes it. Where the Chinese may stay as it is, a
reason must stand in the block's first line: ``same="only the English was misspelt"``. A line
``<!-- allow numerals: a proverb -->`` in a block says which test of the text does not fit it, and
why.
"""

from __future__ import annotations

import argparse
import copy
import difflib
import hashlib
import io
import json
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils import language
from course_utils.errors import CourseError
from course_utils.paths import write_whole

REPOSITORY = Path(__file__).resolve().parents[1]
ENGLISH = REPOSITORY / "notebooks"
CHINESE = ENGLISH / "zh"
TEXT = REPOSITORY / "zh" / "notebooks"
ALLOW = re.compile(r"^<!-- allow (\w+): .+ -->\n?", re.MULTILINE)
HEAD = re.compile(
    r'^<!-- (cell|code) ([\w-]+) en=(\w+)(?: zh=(\w+))?(?: same="([^"]*)")? -->$', re.MULTILINE
)
# What the Chinese notebooks have more than the English ones, at the end of their set-up cell.
SWITCH = '\n\nfrom course_utils import language\n\nlanguage.use("zh")'


@dataclass
class Block:
    """The Chinese of one cell."""

    kind: str
    cell: str  # the cell's id
    english: str  # digests
    chinese: str
    same: str
    text: str

    def allows(self, test: str) -> bool:
        """Whether a test of the text does not fit this block."""
        return test in ALLOW.findall(self.text)

    def head(self) -> str:
        """The block's first line."""
        digests = f"en={self.english}" + (f" zh={self.chinese}" if self.chinese else "")
        reason = f' same="{self.same}"' if self.same else ""
        return f"<!-- {self.kind} {self.cell} {digests}{reason} -->"


def digest(text: str) -> str:
    """A short name of a text."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]


def source(cell: dict[str, Any]) -> str:
    """The text of a cell, which is a list of lines in some files."""
    return "".join(cell["source"])


def tags(cell: dict[str, Any]) -> list[str]:
    """The tags of a cell."""
    return list(cell["metadata"].get("tags", []))


def read(path: Path) -> dict[str, Any]:
    """The content of a notebook."""
    return dict(json.loads(path.read_text(encoding="utf-8")))


def comments(code: str) -> list[str]:
    """The comments of a cell of code, in their order."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(code).readline))
    except (tokenize.TokenError, SyntaxError):  # lines for IPython alone
        return re.findall(r"(?:^|\s)(# .*)$", code, flags=re.MULTILINE)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def wanted(cell: dict[str, Any]) -> str:
    """The English that is to be translated in a cell; nothing for a proof or silent code."""
    if cell["cell_type"] == "markdown":
        return source(cell)
    if {"check", "remove-cell"} & set(tags(cell)):
        return ""
    return "\n".join(comments(source(cell)) + list(cell["metadata"].get("alt", [])))


def blocks(text: str) -> list[Block]:
    """The blocks of a text file, in their order."""
    heads = list(HEAD.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    found = []
    for head, end in zip(heads, ends, strict=True):
        kind, cell, english, chinese, same = head.groups(default="")
        found.append(Block(kind, cell, english, chinese, same, text[head.end() : end].strip()))
    return found


def skeleton(notebook: dict[str, Any]) -> str:
    """A text file without its Chinese, for a translator: the English stands in its place."""
    parts = []
    for cell in notebook["cells"]:
        if not (text := wanted(cell)):
            continue
        kind = "cell" if cell["cell_type"] == "markdown" else "code"
        if kind == "code":
            lines = [f"{comment} => {comment}" for comment in comments(source(cell))]
            lines += [f"alt: {alt}" for alt in cell["metadata"].get("alt", [])]
            body = "\n".join(lines)
        else:
            body = text
        parts.append(f"<!-- {kind} {cell['id']} en={digest(text)} -->\n{body}\n")
    return "\n".join(parts)


def problems(notebook: dict[str, Any], found: list[Block], path: Path) -> Iterator[str]:
    """Say what is missing, too many, out of order or out of date in a chapter's Chinese."""
    english = {cell["id"]: wanted(cell) for cell in notebook["cells"] if wanted(cell)}
    there = [block.cell for block in found]
    for cell in english:
        if cell not in there:
            yield f"{path.name}: cell {cell} has no block in zh/notebooks/{path.stem}.md."
    for block in found:
        if block.cell not in english:
            yield f"{path.name}: the block {block.cell} is of no cell: remove it."
        elif block.english != digest(english[block.cell]):
            yield (
                f"{path.name}: the English of cell {block.cell} has changed:\n"
                f"{difference(path, block, english[block.cell])}"
            )
        elif block.chinese != digest(block.text):
            yield (
                f"{path.name}: the Chinese of cell {block.cell} is not accepted: run "
                f"`python tools/chinese_edition.py accept {block.cell}`."
            )
    if there != [cell for cell in english if cell in there]:
        yield f"{path.name}: the blocks are not in the order of the cells, or one is there twice."


def difference(path: Path, block: Block, now: str) -> str:
    """What has changed in the English since it was translated, as far as git remembers."""
    before = ""
    name = path.relative_to(REPOSITORY).as_posix() if path.is_relative_to(REPOSITORY) else path.name
    log = ["git", "-C", str(REPOSITORY), "log", "-n", "30", "--format=%h", "--", name]
    commits = subprocess.run(log, capture_output=True, encoding="utf-8").stdout.split()
    for commit in commits:
        show = ["git", "-C", str(REPOSITORY), "show", f"{commit}:{name}"]
        text = subprocess.run(show, capture_output=True, encoding="utf-8").stdout
        cells = json.loads(text)["cells"] if text else []
        old = [wanted(cell) for cell in cells if cell.get("id") == block.cell]
        if old and digest(old[0]) == block.english:
            before = old[0]
            break
    lines = difflib.unified_diff(
        before.split("\n"), now.split("\n"), "translated", "now", lineterm=""
    )
    return "\n".join(lines)


def build(notebook: dict[str, Any], found: list[Block]) -> dict[str, Any]:
    """The Chinese notebook: the English one with the text of the blocks."""
    made = copy.deepcopy(notebook)
    texts = {block.cell: ALLOW.sub("", block.text).strip() for block in found}
    code = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
    for cell in made["cells"]:
        text = texts.get(cell["id"])
        if cell["cell_type"] == "markdown":
            cell["source"] = text if text is not None else source(cell)
        else:
            _translate_code(cell, text or "")
    code[1]["source"] = source(code[1]) + SWITCH
    return made


def _translate_code(cell: dict[str, Any], text: str) -> None:
    """Put Chinese comments, text alternatives and messages into a cell of code."""
    code = source(cell)
    lines = text.split("\n")
    for line in lines:
        before, arrow, after = line.partition(" => ")
        if arrow:
            code = code.replace(before, after)
    cell["source"] = code
    alternatives = [line.removeprefix("alt: ") for line in lines if line.startswith("alt: ")]
    if alternatives:
        cell["metadata"]["alt"] = alternatives
    pictures = [out for out in cell["outputs"] if "image/png" in out.get("data", {})]
    for output, alternative in zip(pictures, alternatives, strict=False):
        output["metadata"]["image/png"]["alt"] = alternative
        output["data"]["text/plain"] = alternative
    for output in cell["outputs"]:
        if output["output_type"] == "stream":
            printed = "".join(output["text"]).split("\n")
            output["text"] = "\n".join(_said(line, code) for line in printed)


def _said(line: str, code: str) -> str:
    """Return a printed line in Chinese if the course says it.

    A line stays as it is where the cell itself holds a text that begins as the line does.
    """
    label = re.split(r"\d", line)[0].strip()
    own = bool(label) and f'"{label}' in code
    return line if own else language.translate(line)


def chapters() -> list[Path]:
    """The English notebooks."""
    return sorted(ENGLISH.glob("[0-9][0-9]_*.ipynb"))


def text_of(path: Path) -> Path:
    """Where the Chinese of a chapter stands."""
    return TEXT / f"{path.stem}.md"


def write_all() -> None:
    """Write the Chinese notebooks. Raises: CourseError, if some text is missing or out of date."""
    texts = {
        path: (read(path), blocks(text_of(path).read_text(encoding="utf-8"))) for path in chapters()
    }
    faults = [fault for path, text in texts.items() for fault in problems(*text, path)]
    if faults:
        raise CourseError("; ".join(faults))
    language.use("zh")
    CHINESE.mkdir(exist_ok=True)
    for path, (notebook, found) in texts.items():
        text = json.dumps(build(notebook, found), indent=1, ensure_ascii=False) + "\n"
        write_whole(CHINESE / path.name, text.encode("utf-8"))
        print(CHINESE / path.name)


def accept(cells: list[str]) -> None:
    """Take the Chinese of some cells, or of all with `all`, for a translation of today's English.

    Raises: CourseError, if the English has changed and the Chinese has not.
    """
    known = False
    for path in chapters():
        if not text_of(path).exists():
            continue
        english = {cell["id"]: wanted(cell) for cell in read(path)["cells"]}
        found = blocks(text_of(path).read_text(encoding="utf-8"))
        for block in found:
            if block.cell not in cells and cells != ["all"] or block.cell not in english:
                continue
            known = True
            now = digest(english[block.cell])
            unchanged = block.chinese == digest(block.text)
            if block.english != now and unchanged and not block.same:
                raise CourseError(
                    f"The English of cell {block.cell} has changed and the Chinese has not: "
                    'translate it, or write same="the reason" into the first line of its block.'
                )
            block.english, block.chinese = now, digest(block.text)
        parts = [f"{block.head()}\n{block.text}\n" for block in found]
        write_whole(text_of(path), "\n".join(parts).encode("utf-8"))
    if not known:
        raise CourseError(f"No block has the id {' '.join(cells)}: look into zh/notebooks.")


def main() -> int:
    """Write the Chinese notebooks, or accept blocks. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Make the Chinese notebooks.")
    parser.add_argument("command", nargs="?", choices=["build", "accept", "skeleton"])
    parser.add_argument("names", nargs="*", help="ids of cells to accept, or all; a chapter's file")
    arguments = parser.parse_args()
    try:
        if arguments.command == "accept":
            accept(arguments.names)
        elif arguments.command == "skeleton":
            print(skeleton(read(Path(arguments.names[0]))), end="")
        else:
            write_all()
    except (CourseError, FileNotFoundError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
