"""Reads the parts that make_data.py wrote."""

import glob
import json
import os

import numpy as np
import torch

from .shapes import CELL


class Pictures:
    """All finished parts of the named sets, mapped into memory. `refresh` picks up parts written since."""

    def __init__(self, work: str, names: list[str]):
        self.folders = [os.path.join(work, "data", n) for n in names]
        self.parts: dict[str, tuple[np.memmap, list[dict], tuple[int, int]]] = {}
        self.refresh()

    def refresh(self) -> None:
        for folder in self.folders:
            for path in sorted(glob.glob(os.path.join(folder, "*.jsonl"))):
                if path in self.parts:
                    continue
                with open(path, encoding="utf-8") as file:
                    grid = tuple(json.loads(file.readline())["grid"])
                    specs = [json.loads(line) for line in file]
                shape = (len(specs), grid[1] * CELL, grid[0] * CELL, 3)
                self.parts[path] = (np.memmap(path.replace(".jsonl", ".bin"), np.uint8, "r").reshape(shape), specs, grid)

    def batch(self, size: int, rng: np.random.Generator) -> torch.Tensor:
        """Random pictures of one part as [B,3,H,W] in -1..1."""
        return self.batch_with_specs(size, rng)[0]

    def batch_with_specs(self, size: int, rng: np.random.Generator) -> tuple[torch.Tensor, list[dict]]:
        pixels, specs, _ = self.parts[list(self.parts)[rng.integers(len(self.parts))]]
        chosen = np.sort(rng.choice(len(pixels), size, replace=False))
        return to_tensor(pixels[chosen]), [specs[i] for i in chosen]


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_bytes(x: torch.Tensor) -> np.ndarray:
    """[B,3,H,W] in -1..1 to [B,H,W,3] bytes."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
