"""What the trainers of networks that end in pixels share: optimisers, rate, running average, checkpoints, and the loop itself."""

import copy
import os
import time
from collections.abc import Callable

import numpy as np
import torch

from .crew import Crew, accumulate
from .muon import Muon
from .run import Stop, save_checkpoint


class PixelTraining:
    """Training of `network`, whose checkpoint at `path` keeps it under `name`. Goes on from that checkpoint when it has optimisers; one
    without them (see reopen.py) gives the weights alone."""

    def __init__(self, name: str, network: torch.nn.Module, path: str, matrices: list[torch.nn.Parameter], rate: float, crew: Crew):
        self.name, self.network, self.path, self.rate, self.crew = name, network, path, rate, crew
        self.weights = list(network.parameters())
        chosen = {id(p) for p in matrices}
        self.muon = Muon(matrices, rate)
        self.adam = torch.optim.AdamW([p for p in self.weights if id(p) not in chosen], rate / 12, betas=(0.9, 0.97), weight_decay=0)
        self.spent, self.step = 0.0, 0
        state = torch.load(path, map_location=self.weights[0].device) if os.path.exists(path) else None
        if state:
            network.load_state_dict(state[name])
        self.average = copy.deepcopy(network).eval()
        if state and "step" in state:
            self.average.load_state_dict(state["average"])
            self.muon.load_state_dict(state["muon"])
            self.adam.load_state_dict(state["adam"])
            self.spent, self.step = state["spent"], state["step"]

    def run(self, minutes: float, fall: float, next_batch: Callable[[], tuple[torch.Tensor, ...]], loss_of: Callable[..., torch.Tensor], show: Callable[[], None]) -> None:
        """Trains until `minutes` are spent over all resumptions; the rate falls over the last share `fall` of them. `show` writes what
        there is to look at, beside every checkpoint."""
        stop, losses, saved, begun = Stop(), [], time.time(), time.time()
        while self.spent < minutes * 60 and not stop.wanted:
            self.spent += min(time.time() - begun, 10)  # a longer step is one during which the process was stopped
            begun = time.time()
            rate = self.rate * min(1, (self.step + 1) / 50) * min(1, (1 - self.spent / (minutes * 60)) / fall) + 1e-6
            for optimiser, share in ((self.muon, 1), (self.adam, 1 / 12)):
                for group in optimiser.param_groups:
                    group["lr"] = rate * share
            batch = next_batch()
            losses.append(accumulate(self.crew, self.weights, loss_of, batch, len(batch[0]) // 4))
            self.muon.step(crew=self.crew)
            self.adam.step()
            self.step += 1
            keep = min(0.995, (self.step + 1) / (self.step + 20))
            with torch.no_grad():
                torch._foreach_lerp_(list(self.average.parameters()), self.weights, 1 - keep)
            if self.step % 50 == 0:
                print(f"{self.spent / 60:.1f} min, step {self.step}, loss {np.mean(losses[-50:]):.4f}", flush=True)
            if time.time() - saved > 150 or self.step == 100:
                saved = time.time()
                self._save()
                show()
        self._save()
        show()

    def _save(self) -> None:
        save_checkpoint(self.path, {
            self.name: self.network.state_dict(), "average": self.average.state_dict(), "muon": self.muon.state_dict(),
            "adam": self.adam.state_dict(), "spent": self.spent, "step": self.step,
        })
