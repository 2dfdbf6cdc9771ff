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
    """`labels` limits the pictures to those that show these concepts alone; eyes and scenes are thinned out alike."""

    def __init__(self, work: str, run: str, names: list[str], labels: set[str] | None = None):
        self.work, self.run, self.names, self.labels = work, run, names, labels
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
                    specs = [json.loads(line) for line in file]
                kept = self._choose(specs)
                self.parts[path] = (np.load(path)[kept], [specs[i] for i in kept])
        return sum(len(s) for _, s in self.parts.values())

    def _choose(self, specs: list[dict]) -> list[int]:
        if self.labels is None:
            return list(range(len(specs)))
        fits = [{i["label"] for i in s["items"]} <= self.labels if "items" in s else None for s in specs]
        shown = [f for f in fits if f is not None]
        share, r = sum(shown) / max(1, len(shown)), random.Random(0)
        return [i for i, f in enumerate(fits) if f or (f is None and r.random() < share)]

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
