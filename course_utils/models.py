"""The networks of the course, from the notes' own to the three that answer for chapter 8.

Every network takes a batch of pictures `[batch, 1, frequency, time]` (float32) and returns
`logits` `[batch, 10]`: no softmax at the end, because `CrossEntropyLoss` applies its own.
"""

import math

import torch

PREDICTED_AT_ONCE = 512


class NotesNetwork(torch.nn.Module):
    """The notes' network of chapter 8 as written: sigmoid between two linear layers.

    Takes pictures with `time * freq` numbers each, any shape `[batch, ...]`; returns logits
    `[batch, classes]`. Source: the course's lecture notes, chapter 8.

    >>> NotesNetwork()(torch.zeros(4, 1, 80, 80)).shape
    torch.Size([4, 10])
    """

    def __init__(
        self, time: int = 80, freq: int = 80, hidden: int = 512, classes: int = 10
    ) -> None:
        super().__init__()
        self.input_dim = time * freq
        self.linear1 = torch.nn.Linear(time * freq, hidden)
        self.linear2 = torch.nn.Linear(hidden, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        o = x.reshape(-1, self.input_dim)
        o = self.linear1(o).sigmoid()
        o = self.linear2(o)
        return o


class MLP(NotesNetwork):
    """The notes' network repaired: ReLU instead of sigmoid, and the batch size kept.

    Takes pictures `[batch, 1, freq, time]`; returns logits `[batch, classes]`; 3,282,442 weights.

    >>> MLP()(torch.zeros(4, 1, 80, 80)).shape
    torch.Size([4, 10])
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(start_dim=1)
        x = self.linear1(x).relu()
        return self.linear2(x)


class LeNet5(torch.nn.Module):
    """LeNet-5 in today's form: ReLU, max pooling, fully connected third layer; 61,706 parameters.

    Takes pictures `[batch, 1, 32, 32]`; returns logits `[batch, classes]`.
    Source:
        LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86(11), 1998.

    >>> LeNet5()(torch.zeros(4, 1, 32, 32)).shape
    torch.Size([4, 10])
    """

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 6, kernel_size=5)
        self.conv2 = torch.nn.Conv2d(6, 16, kernel_size=5)
        self.linear1 = torch.nn.Linear(16 * 5 * 5, 120)
        self.linear2 = torch.nn.Linear(120, 84)
        self.linear3 = torch.nn.Linear(84, classes)
        self.pool = torch.nn.MaxPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.conv1(x).relu())  # [batch, 6, 14, 14]
        x = self.pool(self.conv2(x).relu())  # [batch, 16, 5, 5]
        x = x.flatten(start_dim=1)  # [batch, 400]
        x = self.linear1(x).relu()
        x = self.linear2(x).relu()
        return self.linear3(x)


class SmallCNN(torch.nn.Module):
    """Four convolutions with BatchNorm, then one vector per clip; about 105,000 parameters.

    Built in chapter 6, trained in chapter 8.

    Takes pictures `[batch, 1, freq, time]` of any size from 16 x 16 up (made for 40 x 48);
    returns logits `[batch, classes]`. Without a `grid` the vector holds the mean and the maximum
    of each channel, wherever it is; with a grid of rows and columns, its mean in each cell.
    Source of BatchNorm: Ioffe and Szegedy, ICML 2015.

    >>> SmallCNN()(torch.zeros(4, 1, 40, 48)).shape
    torch.Size([4, 10])
    """

    def __init__(
        self,
        classes: int = 10,
        dropout: float = 0.3,
        widths: tuple[int, int, int] = (24, 48, 80),
        grid: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.grid = grid
        first, second, last = widths
        self.layers = torch.nn.Sequential(
            *self.block(1, first, kernel_size=5, stride=2),
            *self.block(first, second),
            torch.nn.MaxPool2d(2),
            *self.block(second, last),
            torch.nn.MaxPool2d(2),
            *self.block(last, last),
        )
        self.dropout = torch.nn.Dropout(dropout)
        cells = 2 if grid is None else grid[0] * grid[1]
        self.linear = torch.nn.Linear(last * cells, classes)

    @staticmethod
    def block(channels_in: int, channels_out: int, kernel_size: int = 3, stride: int = 1) -> list:
        """Return one convolution with BatchNorm and ReLU; the size changes only by `stride`."""
        padding = kernel_size // 2
        return [
            # No bias: BatchNorm subtracts the mean, and adds a bias of its own.
            torch.nn.Conv2d(channels_in, channels_out, kernel_size, stride, padding, bias=False),
            torch.nn.BatchNorm2d(channels_out),
            torch.nn.ReLU(),
        ]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers(x)  # [batch, 80, 5, 6] for pictures of 40 x 48
        if self.grid is None:
            x = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)  # [batch, 160]
        else:
            x = torch.nn.functional.adaptive_avg_pool2d(x, self.grid).flatten(start_dim=1)
        return self.linear(self.dropout(x))


class Ensemble(torch.nn.Module):
    """Three narrow `SmallCNN` that learn alone and answer together; about 141,000 parameters.

    Each begins with other weights and errs elsewhere, so the mean of their probabilities errs
    less than one network of the same size. They keep the places in a picture in a grid of 5 x 3
    cells, for the height of its formants makes a vowel. Taught in chapter 8.

    Takes pictures as `SmallCNN` does. In training it returns the logits of each, `[batch, classes,
    3]`, so that each is judged alone; after `eval()` the logarithms of the mean probabilities,
    `[batch, classes]`.
    Source:
        Hansen and Salamon, "Neural network ensembles", IEEE PAMI 12, 1990.

    >>> ensemble = Ensemble()
    >>> ensemble(torch.zeros(4, 1, 40, 48)).shape
    torch.Size([4, 10, 3])
    >>> ensemble.eval()(torch.zeros(4, 1, 40, 48)).shape
    torch.Size([4, 10])
    """

    def __init__(self, classes: int = 10, grid: tuple[int, int] | None = (5, 3)) -> None:
        super().__init__()
        self.members = torch.nn.ModuleList(
            SmallCNN(classes, dropout=0.2, widths=(16, 32, 48), grid=grid) for _ in range(3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.stack([member(x) for member in self.members], dim=2)
        if self.training:
            return logits
        return logits.log_softmax(dim=1).logsumexp(dim=2) - math.log(len(self.members))


# By the names that saved recipes hold.
NETWORKS = {each.__name__: each for each in (NotesNetwork, MLP, LeNet5, SmallCNN, Ensemble)}


def count_parameters(model: torch.nn.Module) -> int:
    """Return how many numbers of a model are trained.

    >>> count_parameters(LeNet5())
    61706
    """
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def copy_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of all that a model has learned, on the CPU, by name.

    >>> sorted(copy_weights(torch.nn.Linear(2, 3)))
    ['bias', 'weight']
    """
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


@torch.no_grad()
def predict(model: torch.nn.Module, features: torch.Tensor) -> torch.Tensor:
    """Return the probabilities that a model gives each class. Taught in chapter 4.

    Args:
        model: any network of this file.
        features: float32 tensor [clips, ...].
    Returns:
        float32 tensor [clips, classes] on the CPU; each row sums to 1.

    >>> predict(LeNet5(), torch.zeros(3, 1, 32, 32)).shape
    torch.Size([3, 10])
    """
    was_training = model.training
    model.eval()
    kind = next(model.parameters())
    parts = features.split(PREDICTED_AT_ONCE)  # no features at all are one part of 0 clips
    try:
        logits = [model(part.to(kind)).cpu() for part in parts]
    finally:
        model.train(was_training)
    return torch.cat(logits).softmax(dim=-1)
