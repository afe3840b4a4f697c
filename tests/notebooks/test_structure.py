"""The form of the eight notebooks, as CONTRIBUTING.md states it."""

import ast
import inspect
import json
import re
import statistics
from importlib import import_module
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = {
    "01_audio_io_and_features": "读写及特征提取",
    "02_deep_learning_basics": "深度学习基础",
    "03_training_a_simple_model": "简单训练模型",
    "04_classification": "分类模型",
    "05_convolution_and_pooling": "卷积与池化",
    "06_lenet": "LeNet",
    "07_mel_spectrum": "梅尔谱",
    "08_dataset_and_dataloader": "DataLoader",
}
CLASSES = {f"{number:02}": 2 for number in range(1, 7)} | {"07": 3, "08": 3}
SLIDE_TYPES = {"slide", "subslide", "fragment", "notes", "skip", "-"}
MODULES = ("audio", "augment", "drawings", "features", "metrics", "models", "paths", "pictures")
MODULES += ("plots", "recordings", "splits", "training")
PACKAGE = [f"course_utils.{name}" for name in MODULES]


def read(name):
    text = (REPOSITORY / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
    return json.loads(text)


def source(cell):
    return "".join(cell["source"])


def tags(cell):
    return set(cell["metadata"].get("tags", []))


def slide_type(cell):
    return cell["metadata"].get("slideshow", {}).get("slide_type")


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def prose_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "markdown"]


def pictures(notebook):
    return [
        output
        for cell in code_cells(notebook)
        for output in cell["outputs"]
        if "image/png" in output.get("data", {})
    ]


def syntax_of(cell):
    """The cell's syntax tree; lines for IPython alone are left out."""
    lines = [line for line in source(cell).splitlines() if not line.lstrip().startswith(("%", "!"))]
    return ast.parse("\n".join(lines))


@pytest.fixture(params=NAMES, scope="module")
def name(request):
    return request.param


@pytest.fixture(scope="module")
def notebook(name):
    return read(name)


def test_there_are_eight_notebooks_and_nothing_else():
    found = {path.name for path in (REPOSITORY / "notebooks").iterdir()}
    found -= {".ipynb_checkpoints", "__pycache__", "zh"}
    assert found == {f"{name}.ipynb" for name in NAMES}


def test_the_title_has_the_number_and_both_languages(name, notebook):
    first = source(notebook["cells"][0])
    assert re.match(rf"# {int(name[:2])} · \S", first)
    assert NAMES[name] in first.splitlines()[0]


def test_the_title_states_objectives_needs_and_time(notebook):
    first = source(notebook["cells"][0])
    for row in ("You will be able to", "You need", "Time"):
        assert f"**{row}**" in first
    assert len(re.findall(r"\d\.\s", first)) >= 3


def test_the_summary_mirrors_the_objectives(notebook):
    first = source(notebook["cells"][0])
    objectives = re.search(r"You will be able to(.*)\*\*You need", first, flags=re.DOTALL).group(1)
    summary = next(source(c) for c in prose_cells(notebook) if "Summary (小结)" in source(c))
    wanted = re.findall(r"(?<!\S)(\d+)\. ", objectives)
    found = re.findall(r"^(\d+)\. ", summary, flags=re.MULTILINE)
    assert wanted == [str(number) for number in range(1, len(wanted) + 1)]
    assert found == wanted


def test_the_teachers_minutes_add_up_to_the_time_in_class(name, notebook):
    first = source(notebook["cells"][0])
    stated = int(re.search(r"\*\*Time\*\*.*?(\d+) minutes in class", first).group(1))
    notes = [source(cell) for cell in prose_cells(notebook) if "teacher" in tags(cell)]
    minutes = [re.match(r"\*For the teacher, (\d+) min\.\*", text) for text in notes]
    assert len(notes) >= 4 and all(minutes), "each note begins with its minutes"
    assert sum(int(found.group(1)) for found in minutes) == stated == 50 * CLASSES[name[:2]]


def test_it_says_where_a_class_ends(name, notebook):
    ends = [c for c in prose_cells(notebook) if re.match(r"\*\*Here the .* class ends", source(c))]
    assert len(ends) == CLASSES[name[:2]] - 1
    assert all("core" in tags(cell) for cell in ends)


@pytest.mark.parametrize("heading", ["Common mistakes", "Exercises", "next", "Further reading"])
def test_the_parts_of_a_chapter_are_there(name, notebook, heading):
    if heading == "next" and name.startswith("08"):
        heading = "Where to go next"
    headings = re.findall(
        r"^##+ (.*)$", "\n".join(map(source, prose_cells(notebook))), flags=re.MULTILINE
    )
    assert any(heading in text for text in headings), headings


def test_it_was_run_from_top_to_bottom(notebook):
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        errors = [o for o in cell["outputs"] if o["output_type"] == "error"]
        assert not errors or "raises-exception" in tags(cell)
        for output in cell["outputs"]:
            assert output.get("name") != "stderr", source(cell)


def test_its_size_and_its_cells_are_within_limits(name, notebook):
    assert (REPOSITORY / "notebooks" / f"{name}.ipynb").stat().st_size <= 700 * 1024
    seen = [cell for cell in notebook["cells"] if not {"check", "teacher"} & tags(cell)]
    assert 30 <= len(seen) <= {"07": 180, "08": 180}.get(name[:2], 120)


def test_its_code_is_short(notebook):
    seen = [cell for cell in code_cells(notebook) if not {"check", "solution"} & tags(cell)]
    lengths = [len([line for line in source(c).splitlines() if line.strip()]) for c in seen]
    assert statistics.median(lengths) <= 6
    assert max(lengths) <= 25


def test_every_cell_has_an_id_a_slide_type_and_a_place(notebook):
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        assert slide_type(cell) in SLIDE_TYPES, source(cell)[:60]
        assert tags(cell) & {"core", "more"}, source(cell)[:60]
        if "more" in tags(cell):
            assert slide_type(cell) == "skip", source(cell)[:60]
        if "teacher" in tags(cell):
            assert slide_type(cell) == "notes" and {"core", "remove-cell"} <= tags(cell)


def test_what_is_projected_fits_the_screen(notebook):
    for cell in code_cells(notebook):
        if "core" in tags(cell) and "check" not in tags(cell):
            assert max(map(len, source(cell).splitlines()), default=0) <= 80, source(cell)


def test_nothing_that_a_reader_sees_only_proves(notebook):
    for cell in code_cells(notebook)[1:]:  # the first says how to get the course
        if "check" not in tags(cell):
            proofs = [n for n in ast.walk(syntax_of(cell)) if isinstance(n, ast.Assert)]
            assert not proofs, source(cell)


def names_made(cell):
    """The names that a cell binds outside its functions' bodies, and those of its functions."""
    made, todo = set(), list(syntax_of(cell).body)
    while todo:
        node = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            made.add(node.name)
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            made.add(node.id)
        elif isinstance(node, ast.alias):
            made.add((node.asname or node.name).split(".")[0])
        todo += ast.iter_child_nodes(node)
    return made


def test_check_cells_prove_and_change_nothing(notebook):
    cells = code_cells(notebook)
    proofs = [cell for cell in cells if "check" in tags(cell)]
    others = [cell for cell in cells if "check" not in tags(cell)]
    used = set(re.findall(r"\w+", "\n".join(map(source, others))))
    assert len(proofs) >= 10
    for cell in proofs:
        tree = syntax_of(cell)
        assert {"remove-cell"} <= tags(cell) and slide_type(cell) == "skip"
        assert any(isinstance(node, ast.Assert) for node in ast.walk(tree)), source(cell)
        assert cell["outputs"] == [], source(cell)
        assert not re.search(r"\brand|seed|shuffle|\.step\(|\bfit\(", source(cell)), source(cell)
        assert not names_made(cell) & used, (source(cell), names_made(cell) & used)


def test_a_question_stands_before_its_answer(notebook):
    cells = notebook["cells"]
    asked = [i for i, c in enumerate(cells) if "(猜一猜)" in source(c) and "teacher" not in tags(c)]
    assert len(asked) >= 3
    answers = [i for i, cell in enumerate(cells) if "hide-output" in tags(cell)]
    assert answers and min(answers) > min(asked)


def test_no_widget_state_is_saved(notebook):
    assert "widgets" not in notebook["metadata"]
    for cell in code_cells(notebook):
        for output in cell["outputs"]:
            assert not [kind for kind in output.get("data", {}) if "widget" in kind]


def test_every_picture_has_a_text_alternative_of_its_own(notebook):
    alternatives = [output["metadata"]["image/png"]["alt"] for output in pictures(notebook)]
    assert len(alternatives) >= 3
    assert len(set(alternatives)) == len(alternatives)
    assert all(len(text.split()) >= 6 for text in alternatives)
    for cell in prose_cells(notebook):
        assert not re.search(r"!\[\s*\]\(|<img(?![^>]*\balt=)", source(cell))


def test_no_machine_is_named(notebook):
    pattern = r"(?<![\w.:/])(/(?:home|root|tmp|work|Users|var)/|[A-Z]:\\\\Users)"
    for cell in notebook["cells"]:
        text = source(cell)
        for output in cell.get("outputs", []):
            text += "".join(output.get("text", ""))
            text += "".join("".join(v) for k, v in output.get("data", {}).items() if "text/" in k)
        assert not re.search(pattern, text), source(cell)


def test_links_are_well_formed_and_secure(notebook):
    text = "\n".join(map(source, prose_cells(notebook)))
    for target in re.findall(r"\]\(([^)]*)\)", text):
        assert re.fullmatch(r"https://[\w.-]+\.[a-z]+(/[^\s]*)?|[\w./#-]+\.ipynb", target), target
    bare = re.sub(r"\]\([^)]*\)|<https://[^>]*>", "", text)
    assert "http" not in bare, "write links as [text](address)"


def test_exercises_have_their_parts(name, notebook):
    chapter = f"checks.ch{name[:2]}"
    cells = code_cells(notebook)
    starters = [cell for cell in cells if "exercise" in tags(cell)]
    solutions = [cell for cell in cells if "solution" in tags(cell)]
    assert len(starters) == len(solutions) >= 4, "three, and an open task"
    assert all("more" in tags(cell) for cell in starters), "exercises are for home"
    text = "\n".join(map(source, cells))
    for number, cell in enumerate(solutions, 1):
        assert cell["metadata"]["jupyter"]["source_hidden"] is True
        assert {"hide-input", "more"} <= tags(cell)
        assert f"{chapter}.ex{number}.accepts(" not in source(cell)
        assert re.search(rf"assert {chapter}\.ex{number}\.accepts\(", text)
        assert re.search(rf"^\w+ = {chapter}\.ex{number}\.or_reference\(", text, flags=re.MULTILINE)
    assert f"{chapter}.progress()" in text


def test_run_all_leaves_a_students_answers_alone(notebook):
    """Solutions come last and bind names of their own."""
    cells = code_cells(notebook)
    solutions = [i for i, cell in enumerate(cells) if "solution" in tags(cell)]
    before = cells[: solutions[0]]
    assert "progress()" in source(before[-1])
    bound = set().union(*map(names_made, before))
    for cell in cells[solutions[0] :]:
        assert {"solution", "check"} & tags(cell)
        assert not names_made(cell) & bound, names_made(cell) & bound


def test_prose_keeps_to_the_style(notebook):
    text = "\n".join(map(source, prose_cells(notebook)))
    text = re.sub(r"```.*?```|`[^`]*`|\$[^$]*\$|\]\([^)]*\)", " ", text, flags=re.DOTALL)
    for word in (
        r"\bsimply\b",
        r"\bobviously\b",
        r"\btrivial(ly)?\b",
        r"!(?!\[)",
        r"\bof course\b",
    ):
        assert not re.search(word, text, flags=re.IGNORECASE), word


def runs_of_five_lines(notebook):
    for cell in code_cells(notebook):
        lines = [re.sub(r"\s+", " ", line.strip()) for line in source(cell).splitlines()]
        lines = [
            line for line in lines if line and not line.startswith(("#", "import ", "from ", "%"))
        ]
        for start in range(len(lines) - 4):
            yield tuple(lines[start : start + 5])


def test_no_five_lines_of_code_stand_in_two_notebooks():
    seen = {}
    for name in NAMES:
        for run in set(runs_of_five_lines(read(name))):
            assert run not in seen, f"{seen.get(run)} and {name} share: {run}"
        for run in set(runs_of_five_lines(read(name))):
            seen[run] = name


def without_docstring_and_hints(node):
    """What a definition does, apart from its documentation and its type hints."""
    tree = ast.parse(ast.unparse(node))
    for part in ast.walk(tree):
        if isinstance(part, ast.FunctionDef | ast.ClassDef):
            if ast.get_docstring(part) is not None:
                part.body = part.body[1:]
            if isinstance(part, ast.FunctionDef):
                part.returns = None
                for argument in (*part.args.args, *part.args.kwonlyargs, *part.args.posonlyargs):
                    argument.annotation = None
    return ast.unparse(tree)


def package_definitions():
    for module in PACKAGE:
        tree = ast.parse(inspect.getsource(import_module(module)))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield node.name, without_docstring_and_hints(node)


def test_what_a_chapter_defines_and_the_package_holds_is_the_same():
    package = dict(package_definitions())
    compared = []
    for name in NAMES:
        for cell in code_cells(read(name)):
            if {"solution", "exercise"} & tags(cell):
                continue
            for node in syntax_of(cell).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in package:
                    assert without_docstring_and_hints(node) == package[node.name], (
                        f"{name} and the package differ in {node.name}"
                    )
                    compared.append(node.name)
    assert "LeNet5" in compared


def test_every_public_helper_is_used_by_two_notebooks_or_by_the_package():
    texts = {name: "\n".join(map(source, code_cells(read(name)))) for name in NAMES}
    modules = {
        path: path.read_text(encoding="utf-8")
        for path in (REPOSITORY / "course_utils").rglob("*.py")
    }
    for module in PACKAGE:
        for function in public_functions(import_module(module)):
            used = sum(bool(re.search(rf"\b{function}\b", text)) for text in texts.values())
            elsewhere = sum(len(re.findall(rf"\b{function}\(", text)) for text in modules.values())
            assert used >= 1 or elsewhere >= 2, f"{module}.{function} is used nowhere"


def public_functions(module):
    return [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and name[0] != "_"
    ]


def test_public_functions_are_documented_with_an_example():
    for module in map(import_module, PACKAGE):
        for name in public_functions(module):
            text = inspect.getdoc(getattr(module, name)) or ""
            assert ">>>" in text, f"{module.__name__}.{name} has no example"
            assert re.search(r"Returns?\b|returns", text) or "None" in str(
                inspect.signature(getattr(module, name)).return_annotation
            ), f"{module.__name__}.{name} does not say what it returns"
