"""Muon (Jordan et al. 2024): momentum whose matrices are made orthogonal, for the hidden weights; AdamW takes the rest.

The Newton-Schulz steps run on the Gram matrix, which halves their cost for the oblong matrices of this model."""

import torch

from .crew import Crew


def orthogonal(g: torch.Tensor, steps: int = 4) -> torch.Tensor:
    x = g / (g.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    gram = x @ x.T
    total = None
    identity = torch.eye(len(gram), device=g.device)
    for step in range(steps):
        p = 3.4445 * identity - 4.7750 * gram + 2.0315 * (gram @ gram)
        total = p if total is None else p @ total
        if step < steps - 1:
            gram = p @ (p @ gram)
            gram = (gram + gram.T) / 2
    x = total @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr: float = 0.02, momentum: float = 0.95, decay: float = 0.01):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": decay})

    @torch.no_grad()
    def step(self, closure=None, crew: Crew | None = None):
        jobs = [(group, p) for group in self.param_groups for p in group["params"] if p.grad is not None]
        (crew or Crew(1)).map(lambda job: self._update(*job), jobs)

    @torch.no_grad()
    def _update(self, group: dict, p: torch.nn.Parameter) -> None:
        state = self.state[p]
        if not state:
            state["velocity"] = torch.zeros_like(p)
        v = state["velocity"].mul_(group["momentum"]).add_(p.grad)
        matrix = (p.grad + group["momentum"] * v).flatten(1)  # a convolution is a matrix from its whole window
        update = orthogonal(matrix).view_as(p)
        p.mul_(1 - group["lr"] * group["decay"])
        p.add_(update, alpha=-group["lr"] * max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5)
