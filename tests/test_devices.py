"""Which device a training takes: cards that are there, unusable or too few, and processes.

What this machine lacks is simulated; processes are real.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import distributed

from course_utils import processes


@pytest.fixture
def cards(monkeypatch):
    """Return a function that makes PyTorch see some cards, which work or do not."""

    def see(count: int, working: bool | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        if working is not None:
            monkeypatch.setattr(processes, "_works", lambda device: working)

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    return see


@pytest.fixture
def under_torchrun(monkeypatch):
    """Return a function that sets what torchrun sets for one of several processes."""

    def start(count: int, local_rank: int) -> None:
        settings = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "LOCAL_RANK": local_rank}
        for name, value in settings.items():
            monkeypatch.setenv(name, str(value))

    return start


@pytest.fixture
def backend(monkeypatch) -> list[str]:
    """What `join` asks for."""
    asked: list[str] = []
    monkeypatch.setattr(distributed, "init_process_group", asked.append)
    monkeypatch.setattr(distributed, "is_nccl_available", lambda: True)
    return asked


def test_a_card_that_works_is_taken(cards):
    cards(1, working=True)
    assert processes.choose_device() == torch.device("cuda", 0)


@pytest.mark.parametrize("count", [0, 1])
def test_without_a_working_card_the_processor_is_taken(cards, count):
    cards(count, working=False)
    assert processes.choose_device() == torch.device("cpu")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: no kernel image is available for execution on the device"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        AssertionError("Torch not compiled with CUDA enabled"),
    ],
    ids=["too old", "full", "no driver"],
)
def test_an_unusable_card_that_is_seen_is_passed_over(cards, monkeypatch, error):
    cards(1)

    class Layer(torch.nn.Conv2d):
        def to(self, *_: object, **__: object):
            raise error

    monkeypatch.setattr(torch.nn, "Conv2d", Layer)
    assert processes.choose_device() == torch.device("cpu")


def test_a_card_that_answers_nonsense_is_unusable(cards, monkeypatch):
    cards(1)

    class Layer(torch.nn.Conv2d):
        def to(self, *_: object, **__: object):
            torch.nn.init.constant_(self.weight, float("nan"))
            return self

    monkeypatch.setattr(torch.nn, "Conv2d", Layer)
    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *shape, **_: ones(*shape))
    assert processes.choose_device() == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a card")
def test_a_card_that_is_only_claimed_is_unusable_in_truth(cards):
    """Nothing is simulated but the claim: the trial itself fails."""
    cards(1)
    assert processes.choose_device() == torch.device("cpu")


def test_each_process_has_a_card_of_its_own(cards, under_torchrun, backend):
    cards(2, working=True)
    for rank in range(2):
        under_torchrun(2, rank)
        processes.join()
        assert processes.choose_device() == torch.device("cuda", rank)
    assert backend == ["cpu:gloo,cuda:nccl"] * 2


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_cards_than_processes_go_to_the_processor_with_gloo(
    cards, under_torchrun, backend, monkeypatch, count
):
    cards(count)

    def tried(device: torch.device) -> bool:
        raise AssertionError(f"{device} was tried, though not every process can have a card")

    monkeypatch.setattr(processes, "_works", tried)
    for rank in range(2):
        under_torchrun(2, rank)
        processes.join()
        assert processes.choose_device() == torch.device("cpu")
    assert backend == ["cpu:gloo"] * 2


def test_a_build_without_nccl_joins_by_gloo(cards, under_torchrun, backend, monkeypatch):
    cards(2, working=True)
    under_torchrun(2, 0)
    monkeypatch.setattr(distributed, "is_nccl_available", lambda: False)
    processes.join()
    assert backend == ["cpu:gloo"]


def test_one_process_joins_nobody(cards, backend, monkeypatch):
    cards(1, working=True)
    processes.join()
    monkeypatch.setenv("WORLD_SIZE", "1")
    processes.join()
    assert backend == []


@pytest.mark.parametrize(("count", "works"), [(1, True), (1, False), (2, True)])
def test_mps_is_for_one_process_if_it_works(cards, monkeypatch, count, works):
    """Gloo has no mps."""
    cards(0, working=works)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(processes, "count", lambda: count)
    expected = "mps" if count == 1 and works else "cpu"
    assert processes.choose_device().type == expected


TWO = """
import hashlib, json, sys
from pathlib import Path
import torch
from course_utils import models, processes, training
processes.join()
rank = processes.rank()
assert processes.count() == 2
# Both see two cards; one process cannot use its own.
torch.cuda.is_available, torch.cuda.device_count = (lambda: True), (lambda: 2)
torch.cuda.is_current_stream_capturing = lambda: False  # without a driver it would fail
processes._works = lambda device: rank == 0
device = processes.choose_device()
x, y = torch.randn(40, 1, 20, 20, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 4
torch.manual_seed(rank)  # even so, both begin with the first one's weights
model = models.SmallCNN(4)
recipe = training.Recipe(epochs=2, batch_size=10)
history = training.fit(model, x, y, x[:7], y[:7], recipe, report=print)
weights = b"".join(value.numpy().tobytes() for value in models.copy_weights(model).values())
answer = [device.type, hashlib.sha256(weights).hexdigest()[:16], history.loss, history.valid_loss]
Path(sys.argv[0]).with_name(f"{rank}.json").write_text(json.dumps(answer), encoding="utf-8")
processes.leave()
"""


@pytest.mark.slow
@pytest.mark.skipif(not distributed.is_gloo_available(), reason="needs gloo")
def test_two_processes_whose_votes_disagree_agree_on_the_processor_and_on_every_weight(
    tmp_path: Path,
):
    """Real processes, with gloo: one card is unusable, so both compute on the processor."""
    (tmp_path / "two.py").write_text(TWO, encoding="utf-8")
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    result = subprocess.run(
        [sys.executable, *start, str(tmp_path / "two.py")],
        capture_output=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    one, two = ((tmp_path / f"{rank}.json").read_text(encoding="utf-8") for rank in range(2))
    assert one == two and one.startswith('["cpu", ')
    assert result.stdout.count("epoch   1 of 2") == 1, "one process speaks for all"
