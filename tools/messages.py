"""List every message that a student can meet, as it stands in the source.

``python tools/messages.py`` prints those that the Chinese catalogue lacks or has too many.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CATALOGUE = REPOSITORY / "course_utils" / "locale" / "zh.json"
SOURCES = ("course_utils/*.py", "course_utils/checks/*.py")
TOOLS = ("command_line", "doctor", "download", "experiment", "export_onnx", "set_up")
# Too short to be known by their words.
SHORT = ["Right.", "Not yet: {0}", "cure: {0}", "Warning: {0}", "New: {0}"]
SHORT += ["no speech found", "mean over speakers {0}, worst {1}", "per word: {0}"]
SHORT += ["return {0}, not a {1}.", "one tensor", "one number, {0}", "{0} is {1}."]
SHORT += ["two", "three", "four", "Done: {0}."]
SHORT += ["train and test", "train and valid", "valid and test"]
SHORT += ["Kept as {0}.", "{0} is deleted.", "the folder of recordings", "sound files"]
# What the doctor finds.
SHORT += ["{0}, as tested", "{0}, tested with {1}", "{0}, with MP3", "not found", "does not load"]
SHORT += ["cpu, which is enough", "{0} samples", "{0} samples, not {1}", "not installed"]
FORM = r'(?:\bt\(|TOO_OLD =\s+)"([^"]+)"'  # a sentence of the recording form


def files() -> list[Path]:
    """The files whose messages are listed."""
    found = [path for pattern in SOURCES for path in REPOSITORY.glob(pattern)]
    found = [path for path in found if path.stem != "drawings"]  # titles stay English
    return sorted(found) + [REPOSITORY / "tools" / f"{name}.py" for name in TOOLS]


def templates() -> dict[str, str]:
    """Return each message, with {0}, {1}, … for what varies, and the file it stands in."""
    found = dict.fromkeys(SHORT, "tools/messages.py")
    script = REPOSITORY / "course_utils" / "recorder.js"
    for text in re.findall(FORM, script.read_text(encoding="utf-8")):
        found.setdefault(text, "course_utils/recorder.js")
    for path in files():
        for text in messages_in(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(text, path.relative_to(REPOSITORY).as_posix())
    return found


def messages_in(tree: ast.AST) -> Iterator[str]:
    """Yield the texts of a file that read like messages: three words or more, no documentation."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    yield from _texts(tree, documentation)


def _texts(node: ast.AST, left_out: set[int]) -> Iterator[str]:
    if id(node) in left_out:
        return
    if isinstance(node, ast.BinOp | ast.JoinedStr | ast.Constant):
        template = numbered(template_of(node))
        if template is not None:
            if reads_like_a_message(template):
                yield template
            if isinstance(node, ast.Constant):
                return
            # What is put into a sentence may be one itself.
            for child in ast.walk(node):
                if isinstance(child, ast.FormattedValue):
                    yield from _texts(child.value, left_out)
            return
    for child in ast.iter_child_nodes(node):
        yield from _texts(child, left_out)


def template_of(node: ast.AST) -> str | None:
    """The text of an expression, with \\0 for what varies; None if it is no text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = [p.value if isinstance(p, ast.Constant) else "\0" for p in node.values]
        return "".join(map(str, parts))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = template_of(node.left), template_of(node.right)
        if left is None and right is None:
            return None
        return (left or "\0") + (right or "\0")
    return None


def numbered(template: str | None) -> str | None:
    """Give each place of a template its number; ``str.format``'s places too."""
    if template is None:
        return None
    places = re.split(r"\0|\{[\w.:!]*\}", template)
    text = places[0]
    for number, part in enumerate(places[1:]):
        text += f"{{{number}}}" + part
    return text


def reads_like_a_message(template: str) -> bool:
    """Whether a text is for readers: words, and not a path, a pattern or a program."""
    words = re.findall(r"[A-Za-z][a-z']+", template)
    return (
        len(words) >= 3
        and " " in template.strip()
        and not re.search(r"[\\^]|\bimport\b|==", template)
    )


def main() -> int:
    """Compare the catalogue with the source. Returns 1 if they differ."""
    there = json.loads(CATALOGUE.read_text(encoding="utf-8")) if CATALOGUE.exists() else {}
    wanted = templates()
    for text, place in wanted.items():
        if text not in there:
            print(f"missing ({place}): {text}")
    for text in there:
        if text not in wanted:
            print(f"no longer used: {text}")
    return int(set(there) != set(wanted))


if __name__ == "__main__":
    sys.exit(main())
