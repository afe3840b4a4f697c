"""The training loop, what it refuses, and its recipes."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from learning import QUICK, fit, same_weights, task

from course_utils import metrics, models, training
from course_utils.augment import augment
from course_utils.errors import TrainingError
from course_utils.training import Recipe


def test_training_is_repeatable_bit_for_bit():
    assert same_weights(fit()[0], fit()[0])
    assert not same_weights(fit()[0], fit(seed=1)[0])


def test_the_random_numbers_drawn_between_do_not_matter():
    first, _ = fit()
    torch.manual_seed(0)
    model = models.SmallCNN()
    torch.rand(1000)
    training.fit(model, *task(), *task(30, seed=1), QUICK, device="cpu", report=None)
    assert same_weights(first, model)


def test_the_model_is_left_with_its_best_epoch():
    lines = []
    model, history = fit(epochs=12, learning_rate=0.1, schedule="constant", report=lines.append)
    best = max(history.valid_accuracy)
    assert history.valid_accuracy[history.best_epoch - 1] == best
    assert metrics.accuracy(model, *task(30, seed=1)) == pytest.approx(best)
    assert len(history.loss) == len(history.valid_loss) == 12
    assert f"epoch {history.best_epoch}" in lines[-1] and f"{100 * best:.1f} %" in lines[-1]


def test_without_a_validation_part_the_last_epoch_stays():
    training.seed_everything(0)
    model = models.SmallCNN()
    history = training.fit(model, *task(), recipe=Recipe(epochs=2), report=None)
    assert history.best_epoch == 2 and history.valid_accuracy == []


def test_a_batch_larger_than_the_data_and_a_single_clip():
    for clips in (1, 5):
        model = models.SmallCNN()
        history = training.fit(model, *task(clips), *task(clips), Recipe(epochs=1), report=None)
        assert len(history.loss) == 1


# What a class gets wrong, and what a sentence must say of it.
MISFITS = {
    "one label short": (lambda x, y: (x, y[:-1]), "60 clips and 59 labels"),
    "no clips": (lambda x, y: (x[:0], y[:0]), "0 clips"),
    "int32": (lambda x, y: (x, y.int()), r"int32.*labels\.long"),
    "float labels": (lambda x, y: (x, y.float()), "float32.*int64"),
    "NumPy labels": (lambda x, y: (x, y.numpy()), "holds a ndarray: .*torch.from_numpy"),
    "NumPy features": (lambda x, y: (x.numpy(), y), "holds a ndarray: .*torch.from_numpy"),
    "a list": (lambda x, y: (x, y.tolist()), "holds a list: give tensors"),
    "label 10": (lambda x, y: (x, y + 1), "A label is 10 or .* 10 answers: .* 0 to 9"),
    "label -1": (lambda x, y: (x, y - 1), "A label is .* or -1, .* 10 answers"),
    # PyTorch leaves such labels out without a word.
    "label -100": (lambda x, y: (x, torch.where(y == 3, -100, y)), "or -100, .* 10 answers"),
}


@pytest.mark.parametrize("part", ["training", "validation"])
@pytest.mark.parametrize("misfit", MISFITS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_data_that_do_not_fit_are_refused_in_a_sentence(misfit, part, label_smoothing):
    change, message = MISFITS[misfit]
    data = [*change(*task()), *task()] if part == "training" else [*task(), *change(*task())]
    recipe = replace(QUICK, epochs=1, augment=None, label_smoothing=label_smoothing)
    with pytest.raises(TrainingError, match=message) as caught:
        training.fit(models.SmallCNN(), *data, recipe, device="cpu", report=None)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize("network", [models.SmallCNN, models.Ensemble])
def test_validation_features_without_labels_are_refused(network):
    with pytest.raises(TrainingError, match="validation part holds a NoneType"):
        training.fit(network(), *task(), task()[0], recipe=Recipe(epochs=1), report=None)


@pytest.mark.parametrize("cause", ["learning_rate", "features"])
def test_a_loss_that_is_no_number_ends_in_a_sentence(cause):
    pictures, labels = task()
    recipe = replace(QUICK, augment=None, schedule="constant")
    if cause == "features":
        pictures[7, 0, 0, 0] = float("nan")
    else:
        recipe = replace(recipe, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"The loss of epoch \d is not a number: use a smaller"):
        training.fit(models.SmallCNN(), pictures, labels, recipe=recipe, report=None)


def test_ctrl_c_leaves_a_usable_model_and_says_so():
    calls = []

    def augment_and_interrupt(pictures: torch.Tensor) -> torch.Tensor:
        calls.append(0)
        if len(calls) == 8:  # three batches an epoch: in the third epoch
            os.kill(os.getpid(), signal.SIGINT)
        return pictures

    lines = []
    model, history = fit(epochs=9, augment=augment_and_interrupt, report=lines.append)
    assert history.stopped and len(history.loss) == 2
    assert lines[-1].startswith("Stopped after epoch 2 of 9: the model has the weights of epoch")
    accuracy = metrics.accuracy(model, *task(30, seed=1))
    assert accuracy == pytest.approx(max(history.valid_accuracy))
    assert not model.training


def test_ctrl_c_before_the_first_epoch_ends_leaves_the_weights_that_came():
    def interrupt(pictures: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    lines = []
    model, history = fit(augment=interrupt, report=lines.append)
    training.seed_everything(0)
    assert same_weights(model, models.SmallCNN()) and history.best_epoch == 0
    assert lines == [
        "Stopped before the first epoch ended: the model has the weights it came with."
    ]


# Recipes


@pytest.mark.parametrize(
    ("clips", "epochs"),
    [(1620, 20), (3000, 20), (100_000, 20), (810, 40), (400, 81), (300, 100), (10, 100), (0, 100)],
)
def test_few_clips_get_more_epochs_and_many_clips_get_20(clips, epochs):
    for name in ("cnn", "lenet", "mlp"):
        assert training.RECIPES[name].epochs_for(clips) == epochs
    assert training.RECIPES["notes"].epochs_for(clips) == 100
    assert Recipe(epochs=7).epochs_for(clips) == 7


def test_a_recipe_is_plain_values_and_pictures_fit_its_network():
    for recipe in training.RECIPES.values():
        values = recipe.as_dict()
        assert all(isinstance(v, (str, int, float, bool, type(None))) for v in values.values())
        network = recipe.network(classes=4).eval()
        assert network(torch.zeros(2, 1, recipe.n_mels, recipe.n_frames)).shape == (2, 4)


def test_the_default_of_a_recipe_changes_pictures_and_none_leaves_them():
    assert Recipe().augment is augment and training.RECIPES["notes"].augment is None
    assert not same_weights(fit()[0], fit(augment=None)[0])


def test_a_trained_network_lies_in_memory_as_a_loaded_one_does():
    training.seed_everything(0)
    model = models.SmallCNN()
    pictures, labels = torch.randn(64, 1, 40, 48), torch.arange(64) % 10
    recipe = training.Recipe(epochs=1, augment=None)
    training.fit(model, pictures, labels, recipe=recipe, report=None)
    twin = models.SmallCNN()
    twin.load_state_dict(model.state_dict())
    assert torch.equal(models.predict(twin, pictures), models.predict(model, pictures))
