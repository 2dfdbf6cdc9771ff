"""Latents with their specifications; captions are written anew each time a picture is drawn from here."""

import glob
import json
import os
import random
from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from .captions import caption
from .shapes import GRID_SHARES, GRIDS, WINDOW
from .tokenizer import NULL, encode


MIX = {"one": 0.32, "beside": 0.20, "above": 0.08, "sizes": 0.02, "three": 0.12, "count": 0.10, "word": 0.10, "eye": 0.04, "scene": 0.02}
"""How often each kind of picture is drawn; the painted sets need not have the same shares."""


class Latents:
    """`labels` limits the pictures to those that show these concepts alone."""

    def __init__(self, work: str, run: str, names: list[str], labels: set[str] | None = None, mix: dict[str, float] = MIX):
        self.work, self.run, self.names, self.labels, self.mix = work, run, names, labels, mix
        self.seen: set[str] = set()
        self.pools: dict[tuple[int, int], Pool] = {}
        self.refresh()

    def refresh(self) -> int:
        """Loads parts that were encoded since; returns how many pictures there are."""
        for name in self.names:
            for path in sorted(glob.glob(os.path.join(self.work, self.run, "latents", name, "*.npy"))):
                if path in self.seen or ".tmp." in path:
                    continue
                self.seen.add(path)
                base = os.path.join(self.work, "data", name, os.path.basename(path)[:-4])
                with open(base + ".jsonl", encoding="utf-8") as file:
                    grid = tuple(json.loads(file.readline())["grid"])
                    specs = [json.loads(line) for line in file]
                z = np.load(path)
                covered = np.fromfile(base + ".objects", np.uint8).reshape(len(z), *z.shape[2:])
                kept = [i for i, s in enumerate(specs) if self.labels is None or {x["label"] for x in s.get("items", [])} <= self.labels]
                part = Pool(z[kept], covered[kept], [specs[i] for i in kept])
                self.pools[grid] = self.pools[grid].joined(part) if grid in self.pools else part
        for pool in self.pools.values():
            pool.weigh(self.mix)
        return sum(len(p.specs) for p in self.pools.values())

    def batches(self, size: int, vocabulary: dict[str, int], r: random.Random, drop: float = 0.1):
        """Endless batches (latents, token ids, cover of the cells in 0..1) of one grid each; captions of similar length share a batch."""
        queue: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        rng = np.random.default_rng(r.getrandbits(32))
        while True:
            if not queue:
                for grid in r.choices(GRIDS, GRID_SHARES, k=6):
                    if grid not in self.pools:
                        continue
                    pool = self.pools[grid]
                    picked = rng.choice(len(pool.specs), size * 4, p=pool.chance)
                    chosen = [(encode(caption(pool.specs[i], r), vocabulary, WINDOW) if r.random() >= drop else [NULL], i) for i in picked]
                    chosen.sort(key=lambda pair: len(pair[0]))
                    for part in (chosen[k : k + size] for k in range(0, len(chosen), size)):
                        rows = [i for _, i in part]
                        queue.append((pool.z[rows], padded([ids for ids, _ in part]), pool.covered[rows]))
                r.shuffle(queue)
                continue
            z, ids, covered = queue.pop()
            yield torch.from_numpy(z).float(), torch.from_numpy(ids), torch.from_numpy(covered).float() / 255


@dataclass
class Pool:
    """Pictures of one grid."""

    z: np.ndarray
    covered: np.ndarray
    specs: list[dict]
    chance: np.ndarray | None = None

    def joined(self, other: "Pool") -> "Pool":
        return Pool(np.concatenate([self.z, other.z]), np.concatenate([self.covered, other.covered]), self.specs + other.specs)

    def weigh(self, mix: dict[str, float]) -> None:
        kinds = [kind_of(s) for s in self.specs]
        number = Counter(kinds)
        chance = np.array([mix[k] / number[k] for k in kinds])
        self.chance = chance / chance.sum()


def kind_of(spec: dict) -> str:
    return "word" if spec.get("word") and spec["kind"] != "eye" else spec["kind"]


def padded(rows: list[list[int]], multiple: int = 8) -> np.ndarray:
    length = -(-max(map(len, rows)) // multiple) * multiple
    out = np.zeros((len(rows), length), np.int64)
    for row, ids in zip(out, rows):
        row[: len(ids)] = ids
    return out
