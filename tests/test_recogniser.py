"""A recogniser: what it hears, in the notebook's way, and its file."""

import os
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from learning import same_weights
from spoken import FOUR_WORDS, needs_espeak, speak_words

import experiment
from course_utils import metrics, models, training
from course_utils.audio import load
from course_utils.errors import AudioError, FolderError, TrainingError
from course_utils.recogniser import FORMAT, OLD_FORMAT, Recogniser
from course_utils.recordings import SpokenWords
from course_utils.splits import split_by_speaker
from course_utils.training import RECIPES, Recipe

WORDS = ["yes", "no", "up", "down"]


def lenet() -> Recogniser:
    return Recogniser(models.LeNet5(4).eval(), WORDS, RECIPES["lenet"])


def a_word(seconds: float = 0.4, before: float = 0.5, rate: int = 16000) -> torch.Tensor:
    """A vowel that swells and fades behind a pause, over a quiet room."""
    generator = torch.Generator().manual_seed(0)
    sound = 0.0005 * torch.randn(1, int((before + seconds + 0.5) * rate), generator=generator)
    count, start = int(seconds * rate), int(before * rate)
    time = torch.arange(count) / rate
    vowel = sum(torch.sin(2 * torch.pi * 120 * k * time) / k for k in range(1, 9))
    sound[0, start : start + count] += 0.2 * vowel * torch.hann_window(count)
    return sound


# Hearing


def test_what_is_heard_is_a_word_its_probabilities_and_its_place():
    recogniser = lenet()
    heard = recogniser.recognise(a_word(), 16000)
    assert heard.probabilities.shape == (4,) and heard.probabilities.dtype == torch.float32
    assert float(heard.probabilities.sum()) == pytest.approx(1, abs=1e-5)
    assert heard.word == WORDS[int(heard.probabilities.argmax())]
    assert heard.probability == float(heard.probabilities.max())
    assert 0.45 < heard.start < 0.6 and 0.8 < heard.end < 0.95


@pytest.mark.parametrize("sound", [torch.zeros(1, 16000), torch.zeros(2, 900)])
def test_where_nobody_spoke_there_is_no_word(sound):
    heard = lenet().recognise(sound, 16000)
    assert heard.word is None and (heard.start, heard.end) == (0.0, 0.0)
    assert heard.probabilities.shape == (4,)


def test_channels_are_averaged_and_any_rate_will_do():
    recogniser, sound = lenet(), a_word()
    one = recogniser.recognise(sound, 16000)
    assert torch.equal(recogniser.recognise(sound.expand(2, -1), 16000).probabilities,
                       one.probabilities)  # fmt: skip
    assert recogniser.recognise(a_word(rate=8000), 8000).word in WORDS
    assert recogniser.recognise(a_word(rate=44100), 44100).end == pytest.approx(one.end, abs=0.1)


def test_it_hears_what_the_pictures_of_a_data_set_say(people):
    """The picture is chosen in one place: clip by clip or all at once, the answers are equal."""
    data = SpokenWords(people, layout="speaker_digit")
    for name, recipe in RECIPES.items():
        recogniser = Recogniser(recipe.network(classes=10).eval(), data.words, recipe)
        pictures = data.pictures(recipe.n_mels, recipe.n_frames, recipe.kind)
        expected = models.predict(recogniser.model, pictures[:1])[0]
        heard = recogniser.recognise(*data.load(0))
        assert torch.allclose(heard.probabilities, expected, atol=1e-6), name


def test_a_waveform_at_an_absurd_rate_is_refused():
    with pytest.raises(AudioError, match="check"):
        lenet().recognise(torch.zeros(1, 1).expand(1, 1_000_001), 1)


def test_it_says_what_it_is():
    assert repr(lenet()) == "recogniser of 4 words (yes, no, up, down), 61,196 weights"


# Any words, in the notebook's way


def test_four_words_from_a_folder_to_the_word(tmp_path):
    needs_espeak()
    folder = speak_words(tmp_path / "mine", FOUR_WORDS, people=5)
    data = SpokenWords(folder, layout="speaker_word")
    assert data.words == ["down", "no", "up", "yes"]
    assert experiment.word_counts(data) == dict.fromkeys(data.words, 5)
    assert experiment.lonely_words(data) == []
    recipe = replace(RECIPES["lenet"], epochs=60)
    pictures = data.pictures(recipe.n_mels, recipe.n_frames)
    train, valid, test = split_by_speaker(data, "p4")
    training.seed_everything(0)
    model = recipe.network(classes=len(data.words))
    training.fit(
        model, pictures[train], data.labels[train], pictures[valid], data.labels[valid],
        recipe, report=None,
    )  # fmt: skip
    assert metrics.accuracy(model, pictures[test], data.labels[test]) >= 0.75
    Recogniser(model, data.words, recipe, {"data": repr(data)}).save(tmp_path / "model.pt")
    recogniser = Recogniser.load(tmp_path / "model.pt")
    heard = {data.paths[i].name: recogniser.recognise(*load(data.paths[i])).word for i in test}
    right = sum(name == f"p4_{word}.wav" for name, word in heard.items())
    assert right == round(4 * metrics.accuracy(model, pictures[test], data.labels[test])), heard


# Files


def test_a_model_comes_back_as_it_was_saved(tmp_path):
    about = {"split": "all", "metrics": {"test_accuracy": 0.5, "test_interval": (0.4, 0.6)}}
    kept = Recogniser(models.LeNet5(4).eval(), WORDS, RECIPES["lenet"], about)
    kept.save(tmp_path / "model.pt")
    loaded = Recogniser.load(tmp_path / "model.pt")
    assert same_weights(kept.model, loaded.model) and not loaded.model.training
    assert loaded.words == WORDS and loaded.recipe == RECIPES["lenet"] and loaded.about == about
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


def test_each_network_of_the_course_comes_back(tmp_path):
    for network in models.NETWORKS.values():
        Recogniser(network(classes=4), WORDS, Recipe(network)).save(tmp_path / "model.pt")
        assert type(Recogniser.load(tmp_path / "model.pt").model) is network


class _Malicious:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_file_that_would_run_code_is_refused_unopened(tmp_path, writer):
    bad, trace = tmp_path / "model.pt", tmp_path / "ran"
    if writer == "pickle":
        bad.write_bytes(pickle.dumps(_Malicious(trace)))
    else:
        torch.save({"weights": _Malicious(trace)}, bad)
    with pytest.raises(TrainingError, match="holds code beside its weights, and was not opened"):
        Recogniser.load(bad)
    assert not trace.exists()
    torch.load(bad, weights_only=False) if writer == "torch" else pickle.loads(bad.read_bytes())
    assert trace.exists()  # the file is dangerous indeed


@pytest.mark.parametrize("content", [b"", b"no model", bytes(10_000), b"PK\x03\x04" + bytes(99)])
def test_files_that_are_no_models_are_refused(tmp_path, content):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=r"^model\.pt is (damaged or )?not a model"):
        Recogniser.load(tmp_path / "model.pt")


NO_MODELS = {
    "nothing in it": {},
    "without weights": {"format": OLD_FORMAT, "model": "lenet", "weights": {}},
    "another network": {"format": OLD_FORMAT, "model": "vgg", "weights": {}},
    "another format": {"format": "course_utils model 9", "weights": {}},
    "without words": {"format": FORMAT, "recipe": RECIPES["cnn"].as_dict(), "weights": {}},
    "a foreign network": {
        "format": FORMAT, "words": WORDS, "about": {}, "weights": {},
        "recipe": RECIPES["cnn"].as_dict() | {"network": "system"},
    },
    "a foreign setting": {
        "format": FORMAT, "words": WORDS, "about": {}, "weights": {},
        "recipe": RECIPES["cnn"].as_dict() | {"shell": "rm"},
    },
    "more words than answers": {
        "format": FORMAT, "words": WORDS, "about": {}, "recipe": RECIPES["lenet"].as_dict(),
        "weights": models.LeNet5(3).state_dict(),
    },
    "a list": [1, 2],
}  # fmt: skip


@pytest.mark.parametrize("what", NO_MODELS)
def test_tensors_that_are_no_model_are_refused(tmp_path, what):
    torch.save(NO_MODELS[what], tmp_path / "a.pt")
    with pytest.raises(TrainingError, match="^a.pt is .*not a model of this course"):
        Recogniser.load(tmp_path / "a.pt")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(TrainingError, match="none.pt does not exist: check the name"):
        Recogniser.load(tmp_path / "none.pt")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(FolderError, match="cannot be written"):
        lenet().save(tmp_path / "file" / "model.pt")


def test_a_model_of_the_old_format_knows_the_digits(tmp_path):
    model = models.LeNet5().eval()
    content = {"format": OLD_FORMAT, "model": "lenet", "epochs": 7, "weights": model.state_dict()}
    torch.save(content, tmp_path / "model.pt")
    loaded = Recogniser.load(tmp_path / "model.pt")
    assert loaded.words == list("0123456789") and same_weights(loaded.model, model)
    assert loaded.recipe == RECIPES["lenet"]
    assert loaded.about == {"model": "lenet", "epochs": 7}


def test_an_ensemble_saved_before_it_had_a_grid_answers_as_it_did(tmp_path):
    old = Recogniser(models.Ensemble(2, grid=None).eval(), ["四", "七"], RECIPES["cnn"])
    old.save(tmp_path / "model.pt")
    loaded = Recogniser.load(tmp_path / "model.pt")
    pictures = torch.randn(3, 1, 40, 48)
    assert torch.equal(models.predict(loaded.model, pictures), models.predict(old.model, pictures))


@pytest.mark.parametrize("name", RECIPES)
def test_a_changed_recipe_comes_back_as_it_was(tmp_path, name):
    recipe = replace(RECIPES[name], augment=None, learning_rate=0.1, epochs=3)
    Recogniser(recipe.network(classes=2), ["四", "七"], recipe).save(tmp_path / "model.pt")
    loaded = Recogniser.load(tmp_path / "model.pt")
    assert loaded.recipe == recipe and loaded.words == ["四", "七"]


def test_a_truncated_model_is_refused_wherever_it_ends(tmp_path):
    lenet().save(tmp_path / "model.pt")
    content = (tmp_path / "model.pt").read_bytes()
    for part in range(20):
        (tmp_path / "model.pt").write_bytes(content[: len(content) * part // 20])
        with pytest.raises(TrainingError):
            Recogniser.load(tmp_path / "model.pt")
