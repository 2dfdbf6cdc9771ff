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
from .model import FOUND
from .places import all_places, places
from .shapes import GRID_SHARES, GRIDS, WINDOW
from .tokenizer import NULL, PAD, encode, look_up, split_words


MIX = {"one": 0.32, "beside": 0.20, "above": 0.08, "sizes": 0.02, "three": 0.12, "count": 0.10, "word": 0.10, "eye": 0.04, "scene": 0.02}
"""How often each kind of picture is drawn; the painted sets need not have the same shares."""
LINES = 0.5
"""How often line drawings are drawn, of those that were painted: nothing is harder, and nothing asked for less."""
PLACES = {place: number for number, place in enumerate(all_places())}


class Latents:
    """`labels` limits the pictures to those that show these concepts alone."""

    def __init__(self, work: str, run: str, names: list[str], labels: set[str] | None = None, mix: dict[str, float] = MIX):
        self.work, self.run, self.names, self.labels, self.mix = work, run, names, labels, mix
        self.seen: set[str] = set()
        self.words_of: dict[str, np.ndarray] = {}
        self.pools: dict[tuple[int, int], Pool] = {}
        self.refresh()
        if not self.pools:
            raise SystemExit(f"No latents of {', '.join(names)} in {os.path.join(work, run)}: run encode_latents with the same --run and --sets.")

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
        """Endless batches of one grid each: latents, token ids, cover of the cells in 0..1, and for the forms, which tokens name each thing
        [B,FOUND,L] and where it stands [B,FOUND,places]. Captions of similar length share a batch."""
        queue: list[tuple[np.ndarray, ...]] = []
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
                        ids = padded([ids for ids, _ in part])
                        specs = [pool.specs[i] for i in rows]
                        queue.append((pool.z[rows], ids, pool.covered[rows], self.named(specs, ids, vocabulary), put(specs, ids, grid)))
                r.shuffle(queue)
                continue
            z, ids, covered, named, where = queue.pop()
            yield torch.from_numpy(z).float(), torch.from_numpy(ids), torch.from_numpy(covered).float() / 255, torch.from_numpy(named), torch.from_numpy(where)

    def named(self, specs: list[dict], ids: np.ndarray, vocabulary: dict[str, int]) -> np.ndarray:
        """Which tokens of each caption name each thing of its picture."""
        out = np.zeros((len(specs), FOUND, ids.shape[1]), np.float32)
        for row, spec in enumerate(specs):
            for number, item in enumerate(spec.get("items", [])):
                if item["label"] not in self.words_of:
                    found = (look_up(word, vocabulary) for name in item["names"] for word in split_words(name))
                    self.words_of[item["label"]] = np.array([i for i in found if i not in (None, PAD)])
                out[row, number] = np.isin(ids[row], self.words_of[item["label"]])
        return out


def put(specs: list[dict], ids: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Where each thing of each picture stands; nowhere when the caption says nothing."""
    out = np.zeros((len(specs), FOUND, len(PLACES)), np.float32)
    for row, spec in enumerate(specs):
        if ids[row, 0] == NULL:
            continue
        items = spec.get("items", [])
        found = places(spec["kind"], spec.get("n", len(items)), grid)
        for number, place in enumerate(found):
            out[row, min(number, len(items) - 1), PLACES[place]] = 1
    return out


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
        chance = np.array([mix[k] / number[k] * (LINES if s.get("style") == "line" else 1) for k, s in zip(kinds, self.specs)])
        self.chance = chance / chance.sum()


def kind_of(spec: dict) -> str:
    return "word" if spec.get("word") and spec["kind"] != "eye" else spec["kind"]


def padded(rows: list[list[int]], multiple: int = 8) -> np.ndarray:
    length = -(-max(map(len, rows)) // multiple) * multiple
    out = np.zeros((len(rows), length), np.int64)
    for row, ids in zip(out, rows):
        row[: len(ids)] = ids
    return out
