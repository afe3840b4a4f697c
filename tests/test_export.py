"""A recogniser leaves Python: BatchNorm folded, the card, the ONNX file, and what is refused.

What the page computes and shows is tested in a browser, in `browser/test_browser_page.py`.
"""

from __future__ import annotations

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from sounds import clips_and_edges
from torch import nn

import command_line
import export_onnx
from course_utils import export_page
from course_utils.errors import CourseError, TrainingError
from course_utils.recogniser import Recogniser
from course_utils.training import RECIPES

DIGITS = list("0123456789")
JUDGED = {"test_accuracy": 0.925, "test_interval": (0.9, 0.95), "speaker_interval": (0.8, 1.0)}


def lively(model: nn.Module) -> nn.Module:
    """The model with statistics and weights in its BatchNorms as training leaves them."""
    generator = torch.Generator().manual_seed(3)
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for values, least in ((norm.running_var, 0.5), (norm.weight.data, 0.5)):
                values.copy_(least + torch.rand(values.shape, generator=generator))
            for values in (norm.running_mean, norm.bias.data):
                values.copy_(torch.randn(values.shape, generator=generator))
    return model.eval()


def recogniser(name: str = "cnn", about: dict | None = None) -> Recogniser:
    torch.manual_seed(1)
    recipe = RECIPES[name]
    return Recogniser(lively(recipe.network(classes=10)), DIGITS, recipe, about or {})


def embedded(page: Path) -> dict:
    text = page.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="model">(.*?)</script>', text, re.S)
    assert found is not None
    return dict(json.loads(found[1]))


@pytest.mark.parametrize("stride", [1, 2])
def test_folding_batchnorm_changes_nothing(stride):
    conv = nn.Conv2d(3, 5, 3, stride, padding=1, bias=False)
    norm = lively(nn.Sequential(nn.BatchNorm2d(5)))[0]
    x = torch.randn(2, 3, 9, 8)
    assert torch.allclose(export_page.fold(conv, norm)(x), norm(conv(x)), atol=1e-5)


@pytest.mark.parametrize("name", ["cnn", "lenet"])
def test_a_page_is_small_and_fetches_nothing(name, tmp_path):
    page = tmp_path / "page.html"
    export_page.save_page(recogniser(name), page)
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 1.5e6
    assert not re.search(
        r"""(src|href)\s*=|url\(|@import|https?://|fetch\(|XMLHttp|WebSocket""", text
    )
    assert "default-src 'none'" in text and "unsafe" not in text


def test_the_card_says_who_was_tested(tmp_path):
    judged = JUDGED | {"per_speaker": {"ann": 0.9, "bo": 0.95}}
    about = {"split": "family:slt", "epochs": 20, "data": {"clips": {"train": 1490}}}
    page = tmp_path / "page.html"
    export_page.save_page(recogniser(about=about | {"metrics": judged}), page, by="Mei <b>")
    card = embedded(page)["card"]
    assert card["by"] == "Mei <b>" and "<b>" not in page.read_text(encoding="utf-8")
    assert (card["clips"], card["epochs"], card["accuracy"]) == (1490, 20, 0.925)
    assert card["interval"] == [0.8, 1.0] and card["people"] == 2
    about = {"split": "clip", "metrics": judged | {"speaker_interval": None}}
    card = export_page.page_model(recogniser(about=about))["card"]
    assert card["interval"] == (0.9, 0.95) and card["people"] == 0
    card = export_page.page_model(recogniser())["card"]
    assert card["accuracy"] is None and card["clips"] is None


def test_constants_of_the_page_are_those_of_python():
    settings = export_page.page_model(recogniser())["settings"]
    script = (Path(export_page.__file__).parent / "page" / "hear.js").read_text(encoding="utf-8")
    used = set(re.findall(r"settings\.(\w+)", script))
    for names in re.findall(r"\{ ([^{}]*) \} = settings", script):
        used |= {name.split(":")[0].strip() for name in names.split(",")}
    assert len(used) > 20
    assert used - set(settings) == set(), "the script uses what Python does not write"
    # 25 dB, 40 dB and their like stand in Python alone.
    for constant in ("25", "40", "130", "13", "2.2", "0.65", "512", "1024"):
        assert not re.search(rf"(?<![\w.]){re.escape(constant)}(?![\w.])", script), constant


@pytest.mark.parametrize("name", ["notes", "mlp"])
def test_a_network_that_the_page_cannot_compute_is_refused(name, tmp_path):
    with pytest.raises(TrainingError, match="cnn or lenet"):
        export_page.save_page(recogniser(name), tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_page_and_refuses_other_names(tmp_path, capsys):
    recogniser("lenet").save(tmp_path / "model.pt")
    page = tmp_path / "mine.html"
    assert command_line.main(["export", str(tmp_path / "model.pt"), "--to", str(page)]) == 0
    assert "mine.html" in capsys.readouterr().out and embedded(page)["words"] == DIGITS
    status = command_line.main(["export", str(tmp_path / "model.pt"), "--to", "mine.txt"])
    assert status == 2 and "ends in .html or .onnx" in capsys.readouterr().err
    with pytest.raises(TrainingError, match="lecture notes"):
        export_onnx.save_onnx(recogniser("notes"), tmp_path / "model.onnx")


def test_without_the_exporter_the_cure_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(CourseError, match="pip install onnx onnxscript"):
        export_onnx.save_onnx(recogniser(), tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["cnn", "lenet"])
def test_the_graph_hears_what_python_hears(name):
    spoken = recogniser(name)
    listener = export_onnx.Listener(spoken).eval()
    for samples in clips_and_edges(every=40):
        with torch.no_grad():
            answer = listener(torch.from_numpy(samples))
        assert_same(spoken, samples, [part.numpy() for part in answer])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "lenet"])
def test_onnxruntime_hears_what_python_hears(name, tmp_path):
    if not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))):
        reason = "pip install onnx onnxscript onnxruntime"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    import onnxruntime

    spoken = recogniser(name)
    export_onnx.save_onnx(spoken, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert session.get_modelmeta().custom_metadata_map["words"].split("\n") == DIGITS
    clips = clips_and_edges()
    assert len(clips) > 300
    for samples in clips:
        assert_same(spoken, samples, session.run(None, {"samples": samples}))


def assert_same(spoken: Recogniser, samples: np.ndarray, answer: list[np.ndarray]) -> None:
    heard = spoken.recognise(torch.from_numpy(samples)[None], 16000)
    probabilities, someone, seconds = answer
    assert np.abs(probabilities - heard.probabilities.numpy()).max() < 1e-4
    assert bool(someone[0]) is (heard.word is not None)
    assert np.abs(seconds - np.array([heard.start, heard.end])).max() < 1e-3
