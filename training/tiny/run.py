"""What every trainer needs: the device, and checkpoints that survive a kill at any moment."""

import os
import signal

import torch


def device_of() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Stop:
    """Turns SIGTERM and SIGINT into a wish that the trainer's loop reads, so that it ends with a checkpoint."""

    def __init__(self) -> None:
        self.wanted = False
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._hear)

    def _hear(self, *_) -> None:
        self.wanted = True


def save_checkpoint(path: str, state: dict) -> None:
    torch.save(state, path + ".tmp")
    os.replace(path + ".tmp", path)
