"""Latents with their specifications; captions are written anew each time a picture is drawn from here."""

import glob
import json
import os
import random

import numpy as np
import torch

from .captions import caption
from .shapes import WINDOW
from .tokenizer import NULL, encode


class Latents:
    def __init__(self, work: str, run: str, names: list[str]):
        self.work, self.run, self.names = work, run, names
        self.parts: dict[str, tuple[np.ndarray, list[dict]]] = {}
        self.refresh()

    def refresh(self) -> int:
        """Loads parts that were encoded since; returns how many pictures there are."""
        for name in self.names:
            for path in sorted(glob.glob(os.path.join(self.work, self.run, "latents", name, "*.npy"))):
                if path in self.parts or ".tmp." in path:
                    continue
                with open(os.path.join(self.work, "data", name, os.path.basename(path)[:-4] + ".jsonl"), encoding="utf-8") as file:
                    file.readline()
                    self.parts[path] = (np.load(path), [json.loads(line) for line in file])
        return sum(len(s) for _, s in self.parts.values())

    def batches(self, size: int, vocabulary: dict[str, int], r: random.Random, drop: float = 0.1):
        """Endless batches (latents, token ids) of one grid each; captions of similar length share a batch."""
        queue: list[tuple[np.ndarray, np.ndarray]] = []
        while True:
            if not queue:
                for _ in range(6):
                    z, specs = self.parts[r.choice(list(self.parts))]
                    chosen = [(encode(caption(specs[i], r), vocabulary, WINDOW) if r.random() >= drop else [NULL], i) for i in r.sample(range(len(specs)), min(len(specs), size * 4))]
                    chosen.sort(key=lambda pair: len(pair[0]))
                    queue += [(z[[i for _, i in part]], padded([ids for ids, _ in part])) for part in (chosen[k : k + size] for k in range(0, len(chosen) - size + 1, size))]
                r.shuffle(queue)
            z, ids = queue.pop()
            yield torch.from_numpy(z).float(), torch.from_numpy(ids)


def padded(rows: list[list[int]], multiple: int = 8) -> np.ndarray:
    length = -(-max(map(len, rows)) // multiple) * multiple
    out = np.zeros((len(rows), length), np.int64)
    for row, ids in zip(out, rows):
        row[: len(ids)] = ids
    return out
