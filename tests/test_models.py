"""The networks: their sizes, and that they can learn."""

from dataclasses import replace

import pytest
import torch
from learning import task

from course_utils import metrics, models, training


@pytest.mark.parametrize(
    ("network", "picture", "parameters"),
    [
        (models.NotesNetwork, (80, 80), 3_282_442),
        (models.MLP, (80, 80), 3_282_442),
        (models.LeNet5, (32, 32), 61_706),
        (models.SmallCNN, (40, 48), 105_202),
        (models.Ensemble, (40, 48), 141_198),
    ],
)
def test_shapes_and_parameters(network, picture, parameters):
    model = network().eval()
    assert model(torch.zeros(3, 1, *picture)).shape == (3, 10)
    assert models.count_parameters(model) == parameters


@pytest.mark.parametrize("name", ["mlp", "lenet", "cnn"])
def test_a_network_learns_ten_pictures_by_heart(name):
    recipe = training.RECIPES[name]
    training.seed_everything(0)
    model = recipe.network()
    pictures = torch.randn(10, 1, recipe.n_mels, recipe.n_frames)
    labels = torch.arange(10)
    recipe = replace(recipe, epochs=15, learning_rate=3e-3, augment=None)
    training.fit(model, pictures, labels, pictures, labels, recipe, report=None)
    assert metrics.accuracy(model, pictures, labels) == 1.0


@pytest.mark.parametrize("network", [models.MLP, models.LeNet5])
def test_a_wrong_picture_size_is_an_error_and_not_another_batch_size(network):
    with pytest.raises(RuntimeError):
        network()(torch.zeros(4, 1, 40, 40))


def test_the_notes_network_changes_the_batch_size_silently():
    """The fault that chapter 2 shows and MLP repairs."""
    assert models.NotesNetwork()(torch.zeros(4, 1, 40, 80)).shape == (2, 10)


def test_an_ensemble_answers_with_the_mean_of_its_members_probabilities():
    ensemble = models.Ensemble().eval()
    pictures = torch.randn(5, 1, 40, 48)
    alone = [member(pictures).softmax(dim=1) for member in ensemble.members]
    assert torch.allclose(models.predict(ensemble, pictures), sum(alone) / 3, atol=1e-6)


@pytest.mark.parametrize("size", [(40, 48), (32, 32), (16, 16), (80, 80)])
def test_a_grid_keeps_where_a_thing_is_and_without_one_only_that_it_is(size):
    """The same channels, high or low in the picture: global pooling cannot tell them apart."""
    for grid in (None, (5, 3)):
        model = models.SmallCNN(grid=grid).eval()
        model.layers = torch.nn.Identity()
        model.linear = torch.nn.Identity()
        picture = torch.zeros(1, 80, *size)
        picture[:, :, : size[0] // 2] = 1
        same = torch.allclose(model(picture), model(picture.flip(2)), atol=1e-6)
        assert same == (grid is None)
        assert model(picture).shape == (1, 160 if grid is None else 80 * 15)


def test_the_members_of_an_ensemble_learn_alone():
    """What one of them is taught does not depend on what the others answer."""
    pictures, labels = torch.randn(10, 1, 40, 48), torch.arange(10)
    gradients = []
    for scale in (1.0, 100.0):
        training.seed_everything(0)
        ensemble = models.Ensemble()
        with torch.no_grad():
            ensemble.members[1].linear.weight.mul_(scale)
        targets = labels[:, None].expand(-1, 3)
        torch.nn.functional.cross_entropy(ensemble(pictures), targets).backward()
        gradients.append(ensemble.members[0].linear.weight.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("recipe", training.RECIPES.values(), ids=training.RECIPES.keys())
@pytest.mark.parametrize("classes", [1, 2, 4, 35])
def test_a_network_has_as_many_answers_as_there_are_words(recipe, classes):
    model = recipe.network(classes=classes)
    pictures = torch.zeros(3, 1, recipe.n_mels, recipe.n_frames)
    probabilities = models.predict(model, pictures)
    assert probabilities.shape == (3, classes)
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(3), atol=1e-5)


def test_predict_gives_probabilities_and_leaves_the_mode_alone():
    model = models.SmallCNN().train()
    probabilities = models.predict(model, task()[0])
    assert torch.allclose(probabilities.sum(dim=1), torch.ones(60), atol=1e-5)
    assert model.training
    assert models.predict(model, task()[0][:0]).shape == (0, 10)
