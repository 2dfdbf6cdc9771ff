"""Shares one training step among CPU threads that take work when they are free.

OpenMP gives every core an equal part and waits for the slowest; on a machine that does other things as well, half of the time is
lost at those barriers. Here each thread computes small pieces of the batch on one core, as many as it gets to."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import torch


class Crew:
    """`threads` 1 (or a GPU) runs everything in the calling thread."""

    def __init__(self, threads: int):
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads, initializer=_settle) if threads > 1 else None
        if self.pool:
            _settle()

    def map(self, work: Callable, items: Iterable) -> list:
        return list(self.pool.map(work, items) if self.pool else map(work, items))


def _settle() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def accumulate(crew: Crew, parameters: list[torch.nn.Parameter], loss_of: Callable[..., torch.Tensor], batch: tuple[torch.Tensor, ...], piece: int) -> float:
    """Sets the gradients of the mean loss over the batch, computed in pieces of at most `piece` rows."""
    size = len(batch[0])
    pieces = list(zip(*(x.split(piece) for x in batch))) if crew.pool else [batch]

    def work(part):
        loss = loss_of(*part) * (len(part[0]) / size)
        return loss.item(), torch.autograd.grad(loss, parameters)

    results = crew.map(work, pieces)
    total = list(results[0][1])
    for _, gradients in results[1:]:
        torch._foreach_add_(total, gradients)
    for p, g in zip(parameters, total):
        p.grad = g
    return sum(loss for loss, _ in results)
