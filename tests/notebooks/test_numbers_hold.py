"""What the chapters say holds in class alone.

The proofs are the cells tagged `check`; they raise where a number of the text is not so. `make
test` runs all cells on one thread, with the recordings of `FSDD_DIR` where they are;
`test_student_edition.py` runs them with two threads, and compares what is printed without them.
"""

from __future__ import annotations

import pytest
from chapters import CHAPTERS, NAMES, run, tags


@pytest.mark.slow
@pytest.mark.parametrize("chapter", CHAPTERS, ids=NAMES)
def test_it_holds_in_class_alone(chapter, tmp_path):
    cells = run(chapter, tmp_path / "class", threads=1, without="more")
    assert sum("check" in tags(cell) for cell in cells) >= 5
