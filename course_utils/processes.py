"""Where a training computes: the device, and the processes that torchrun started."""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import distributed


def choose_device() -> torch.device:
    """Return the fastest device that works here: cuda, else mps, else cpu. Used in chapter 8.

    A card that is seen but cannot compute (too old, full) is passed over. Of several processes
    each has a card of its own, or all of them compute on the processor.

    >>> choose_device().type in ("cuda", "mps", "cpu")
    True
    """
    processor = torch.device("cpu")
    if torch.cuda.is_available():
        card = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        return card if _all_agree(_enough_cards() and _works(card)) else processor
    if count() == 1 and torch.backends.mps.is_available():  # gloo has no mps
        apple = torch.device("mps")
        return apple if _works(apple) else processor
    return processor


def _enough_cards() -> bool:
    """Say whether each process has a card of its own, and several can exchange what is on them."""
    enough = torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    alone = int(os.environ.get("WORLD_SIZE", 1)) == 1
    return enough and (alone or distributed.is_nccl_available())


def _works(device: torch.device) -> bool:
    """Try what a training does: memory, a convolution, and the way back."""
    try:
        layer = torch.nn.Conv2d(1, 2, kernel_size=3).to(device)
        return bool(layer(torch.ones(1, 1, 4, 4, device=device)).sum().cpu().isfinite())
    except (RuntimeError, AssertionError):  # out of memory, no kernel image, a broken driver
        return False


def _all_agree(answer: bool) -> bool:
    votes = torch.tensor(float(answer))
    if count() > 1:
        distributed.all_reduce(votes, distributed.ReduceOp.MIN)
    return bool(votes)


def join() -> None:
    """Join the processes that torchrun started, if it did.

    Tensors on the processor travel by gloo; those on cards by NCCL, where each has a card.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and not distributed.is_initialized():
        cards = torch.cuda.is_available() and _enough_cards()
        distributed.init_process_group("cpu:gloo,cuda:nccl" if cards else "cpu:gloo")


def leave() -> None:
    """Leave the other processes, if there are any."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def count() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def wait_for_all() -> None:
    """Go on when every process has come here."""
    total(torch.zeros(1))


def my_share(indices: torch.Tensor) -> torch.Tensor:
    """Return every how-many-th index, beginning with this process's own number."""
    return indices[rank() :: count()]


def total(sums: torch.Tensor) -> torch.Tensor:
    """Return the sum over all processes of a tensor on the processor."""
    if count() > 1:
        distributed.all_reduce(sums)
    return sums


def shared(model: torch.nn.Module) -> Any:
    """Return the model so that its gradients are averaged over all processes."""
    return model if count() == 1 else torch.nn.parallel.DistributedDataParallel(model)


def copy_buffers(model: torch.nn.Module) -> None:
    """Give every process the first one's buffers: BatchNorm's averages."""
    if count() > 1:
        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)
