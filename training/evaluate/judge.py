"""Judges the pictures of generate.ts; every figure stands beside the same figure for true renderings of the same prompts.

python -m evaluate.judge --work W --modules M --stages 1     (prints a table and writes <work>/evaluate/figures.json)"""

import json
import os
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image

from tiny import captions
from tiny.draw import STYLES, Painter
from tiny.options import parser_with
from tiny.pictures import Pictures, to_tensor
from tiny.places import places
from tiny.preview_data import sheet

SIDE = 128
GRID = (8, 8)


class Recogniser(nn.Module):
    """Which concept a 64 px picture shows. Trained here, on renderings of its own, with objects of many sizes at many places."""

    def __init__(self, classes: int):
        super().__init__()
        widths = [3, 32, 64, 128, 192]
        self.body = nn.Sequential(*(m for a, b in zip(widths, widths[1:]) for m in (nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2))))
        self.head = nn.Linear(192 * 4, classes)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return F.adaptive_avg_pool2d(self.body(x), 2).flatten(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))


def main() -> None:
    parser = parser_with("work", "modules", "stages", "threads", "sets")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    folder = os.path.join(options.work, "evaluate")
    painter = Painter(options.work, options.modules, options.stages)
    labels = [c["label"] for c in painter.concepts]
    recogniser = load_recogniser(folder, painter, labels)
    with open(os.path.join(folder, "prompts.json"), encoding="utf-8") as file:
        rows = json.load(file)
    made = np.fromfile(os.path.join(folder, "pictures.bin"), np.uint8).reshape(-1, SIDE, SIDE, 3)
    rows = rows[: len(made)]
    true = np.stack([painter.paint(row["spec"], GRID) for row in rows])
    figures = {}
    for name, pictures in (("model", made), ("true renderings", true)):
        figures[name] = {
            **objects(recogniser, labels, rows, pictures),
            **colours(rows, pictures),
            **sides(recogniser, labels, rows, pictures),
            **trios(recogniser, labels, rows, pictures),
            **counts(rows, pictures),
            **letters(painter, rows, pictures),
            **nearest(options.work, options.sets, rows, pictures),
            **diversity(rows, pictures),
        }
    figures["share"] = {k: round(figures["model"][k] / max(figures["true renderings"][k], 1e-9), 3) for k in ("object top-1", "object top-5")}
    for key in figures["model"]:
        print(f"{key:45s} {figures['model'][key]:>8} {figures['true renderings'][key]:>8}")
    print(figures["share"])
    with open(os.path.join(folder, "figures.json"), "w", encoding="utf-8") as file:
        json.dump(figures, file, indent=2)
    chosen = list(range(0, len(rows), max(1, len(rows) // 60)))[:60]
    sheet([made[i] for i in chosen], 12).save(os.path.join(folder, "sheet.png"))


def load_recogniser(folder: str, painter: Painter, labels: list[str]) -> Recogniser:
    path = os.path.join(folder, "recogniser.pt")
    model = Recogniser(len(labels))
    if os.path.exists(path):
        model.load_state_dict(torch.load(path))
        return model.eval()
    r, x, y = random.Random("recogniser"), [], []
    for i in range(max(6000, 30 * len(labels))):
        label = i % len(labels)
        spec = {"kind": "one", "seed": r.getrandbits(32), "style": r.choice(list(STYLES)), "items": [painter.item(painter.concepts[label], r)]}
        place = r.random()
        if place < 0.35:
            spec["scene"] = r.choice(list(captions.SCENES))
        elif place < 0.7:
            spec["back"] = r.choice(list(captions.COLOURS))
        x.append(np.asarray(Image.fromarray(painter.paint(spec, GRID, free=True)).resize((64, 64), Image.BOX)))
        y.append(label)
    images, targets = to_tensor(np.stack(x)), torch.tensor(y)
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=0.05)
    epochs, size = 6, 64
    steps = epochs * len(images) // size
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * (1 - step / steps)
        chosen = torch.randint(len(images), (size,))
        batch = images[chosen]
        shift = torch.randint(-4, 5, (2,))
        batch = torch.roll(batch, tuple(shift.tolist()), (2, 3))
        batch = batch + torch.rand(1) * 0.15 * torch.randn_like(batch)
        if torch.rand(1) < 0.4:
            batch = F.interpolate(F.avg_pool2d(batch, 2), scale_factor=2, mode="bilinear")
        loss = F.cross_entropy(model(batch), targets[chosen], label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 200 == 0:
            print(f"recogniser, step {step} of {steps}, loss {loss.item():.3f}", flush=True)
    torch.save(model.state_dict(), path)
    return model.eval()


@torch.no_grad()
def logits(recogniser: Recogniser, pictures: list[np.ndarray]) -> torch.Tensor:
    small = np.stack([np.asarray(Image.fromarray(p).resize((64, 64), Image.BOX if p.shape[0] > 64 else Image.BICUBIC)) for p in pictures])
    return torch.cat([recogniser(to_tensor(small[i : i + 100])) for i in range(0, len(small), 100)])


def pick(rows: list[dict], *kinds: str) -> list[int]:
    return [i for i, row in enumerate(rows) if row["kind"] in kinds]


def share(hits: list[bool]) -> float:
    return round(float(np.mean(hits)), 3) if hits else float("nan")


def objects(recogniser, labels, rows, pictures) -> dict:
    out = {}
    groups = {"object": pick(rows, "one", "paint"), "object, natural colours": pick(rows, "one"), "object, new colour": pick(rows, "paint")}
    groups |= {f"object, style {style}": [i for i in groups["object"] if rows[i]["spec"]["style"] == style] for style in STYLES}
    for name, chosen in groups.items():
        if not chosen:
            continue
        best = logits(recogniser, [pictures[i] for i in chosen]).topk(5).indices.tolist()
        wanted = [labels.index(rows[i]["spec"]["items"][0]["label"]) for i in chosen]
        out[f"{name} top-1"] = share([w == b[0] for w, b in zip(wanted, best)])
        out[f"{name} top-5"] = share([w in b for w, b in zip(wanted, best)])
    return out


HUES = {"red": 0, "orange": 27, "yellow": 48, "green": 130, "blue": 218, "purple": 275, "pink": 330}


def colours(rows, pictures) -> dict:
    """The most frequent hue among coloured pixels, by nearest named hue."""
    hits = []
    for i in pick(rows, "paint"):
        hsv = np.asarray(Image.fromarray(pictures[i]).convert("HSV"), np.float32)
        solid = (hsv[..., 1] > 90) & (hsv[..., 2] > 50)
        if solid.sum() < 60:
            hits.append(False)
            continue
        hue = hsv[..., 0][solid] * 360 / 255
        names = list(HUES)
        distance = np.abs((hue[:, None] - np.array(list(HUES.values())) + 180) % 360 - 180)
        votes = np.bincount(distance.argmin(1), minlength=len(names))
        hits.append(names[int(votes.argmax())] == rows[i]["spec"]["items"][0]["paint"])
    return {"colour": share(hits)}


def sides(recogniser, labels, rows, pictures) -> dict:
    """Left and right halves: each is its own object rather than the other, and each is recognised."""
    chosen = pick(rows, "beside")
    half = []
    for i in chosen:
        side = int(SIDE * 0.52)
        top = (SIDE - side) // 2
        half += [pictures[i][top : top + side, : side], pictures[i][top : top + side, SIDE - side :]]
    if not chosen:
        return {}
    scores = logits(recogniser, half)
    order, both = [], []
    for k, i in enumerate(chosen):
        a, b = (labels.index(item["label"]) for item in rows[i]["spec"]["items"])
        left, right = scores[2 * k], scores[2 * k + 1]
        order.append(bool(left[a] + right[b] > left[b] + right[a]))
        both.append(a in left.topk(5).indices.tolist() and b in right.topk(5).indices.tolist())
    return {"left/right order": share(order), "both objects in top-5": share(both)}


def trios(recogniser, labels, rows, pictures) -> dict:
    """Each of three objects is recognised where it should stand."""
    chosen = pick(rows, "three")
    if not chosen:
        return {}
    half = GRID[0] / 2
    boxes = [tuple(round((half + v) * SIDE / GRID[0]) for v in (y - size / 2, y + size / 2, x - size / 2, x + size / 2)) for x, y, size in places("three", 3, GRID)]
    best = logits(recogniser, [pictures[i][top:bottom, left:right] for i in chosen for top, bottom, left, right in boxes]).topk(5).indices.tolist()
    found = [[labels.index(item["label"]) in best[3 * k + j] for j, item in enumerate(rows[i]["spec"]["items"])] for k, i in enumerate(chosen)]
    return {"each of three objects in top-5": share([hit for row in found for hit in row]), "all of three objects in top-5": share([all(row) for row in found])}


def counts(rows, pictures) -> dict:
    hits, near = [], []
    for i in pick(rows, "count"):
        found = blobs(pictures[i])
        hits.append(found == rows[i]["spec"]["n"])
        near.append(abs(found - rows[i]["spec"]["n"]) <= 1)
    return {"count": share(hits), "count within one": share(near)}


def blobs(picture: np.ndarray) -> int:
    """Separate things on a plain or softly graded background."""
    small = np.asarray(Image.fromarray(picture).resize((64, 64), Image.BOX), np.float32)
    back = np.median(np.concatenate([small[:, :2], small[:, -2:]], 1), 1, keepdims=True)
    solid = np.abs(small - back).max(-1) > 34
    seen, found = np.zeros_like(solid), 0
    for y, x in zip(*np.nonzero(solid)):
        if seen[y, x]:
            continue
        stack, size = [(y, x)], 0
        seen[y, x] = True
        while stack:
            v, u = stack.pop()
            size += 1
            for dv in (-1, 0, 1):
                for du in (-1, 0, 1):
                    p, q = v + dv, u + du
                    if 0 <= p < 64 and 0 <= q < 64 and solid[p, q] and not seen[p, q]:
                        seen[p, q] = True
                        stack.append((p, q))
        found += size > 24
    return found


def letters(painter: Painter, rows, pictures) -> dict:
    """Is the wanted word the best match, at its place, among the words of the lists?"""
    hits, words, masks = [], captions.WORDS_HELD + captions.WORDS, {}
    for brush in (True, False):
        for text in words:
            paper = Image.new("RGB", (SIDE, SIDE), (127, 127, 127))
            painter._write(paper, {"text": text, "brush": brush, "colour": "white"}, np.random.default_rng(0), GRID)
            mask = np.asarray(paper, np.float32)[..., 0] > 200
            masks[brush, text] = (mask - mask.mean()) / (mask.std() + 1e-6)
    for i in pick(rows, "word"):
        word = rows[i]["spec"]["word"]
        ink = np.array(captions.COLOURS[word["colour"]], np.float32)
        close = np.exp(-np.abs(pictures[i].astype(np.float32) - ink).sum(-1) / 120)
        close = (close - close.mean()) / (close.std() + 1e-6)
        scores = [float((masks[word["brush"], text] * close).mean()) for text in words]
        hits.append(words[int(np.argmax(scores))] == word["text"])
    return {f"letters, best of {len(words)} words": share(hits)}


def thumbnails(pictures: list[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack([np.asarray(Image.fromarray(p).resize((32, 32), Image.BOX)) for p in pictures])).flatten(1).float() / 255


def diversity(rows, pictures) -> dict:
    """Mean pixel distance (0..1, at 32 px) between pictures of one prompt and different seeds, and between different prompts."""
    groups: dict[str, list[int]] = {}
    for i in pick(rows, "again"):
        groups.setdefault(rows[i]["prompt"], []).append(i)
    if not groups:
        return {}
    same, firsts = [], thumbnails([pictures[g[0]] for g in groups.values()])
    for group in groups.values():
        small = thumbnails([pictures[i] for i in group])
        same.append(torch.pdist(small).mean().item() / small.shape[1] ** 0.5)
    return {
        "distance between seeds of one prompt": round(float(np.mean(same)), 3),
        "distance between prompts": round(torch.pdist(firsts).mean().item() / firsts.shape[1] ** 0.5, 3),
    }


@torch.no_grad()
def nearest(work: str, sets: list[str], rows, pictures) -> dict:
    """Mean pixel distance (0..1, at 32 px) to the nearest of 8,000 training pictures; small means copied."""
    training = []
    for pixels, _, grid in Pictures(work, sets).parts.values():
        if grid == GRID and len(training) < 4:
            training.append(thumbnails(list(pixels)))
    bank = torch.cat(training)
    small = thumbnails([pictures[i] for i in pick(rows, "one")[:200]])
    distance = (torch.cdist(small, bank) / small.shape[1] ** 0.5).min(1).values
    return {"distance to nearest training picture": round(distance.mean().item(), 3)}


if __name__ == "__main__":
    main()
