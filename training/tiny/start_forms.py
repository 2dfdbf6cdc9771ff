"""Starts the forms of words as what the things look like on average, so that training only has to refine them.

python -m tiny.start_forms --work W --modules M --run run1 --sets core,new --stages 1,2 --out run2
Reads <work>/<run>/transformer.pt and writes <work>/<out>/transformer.pt. A form is the mean of the latents of all pictures that show the thing,
less what all things have in common; where a name has several words, each has its part. The network sees forms as it
sees latents."""

import os
from collections import defaultdict
from itertools import islice

import numpy as np
import torch

from .draw import Painter
from .latents import Latents
from .model import FORM_SIDE, HALF_SIDE, REACH, Shape, TextToLatents, restore, spread_of_form
from .options import parser_with
from .places import HALF, WHOLE, all_places, places
from .run import save_checkpoint
from .tokenizer import PAD, look_up, split_words
from .vocabulary import with_synonyms

STRENGTH = 0.5
"""How much of a form is added to the latents at the start."""
RIDGE = 0.05


def main() -> None:
    parser = parser_with("work", "modules", "run", "sets", "stages")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    state = torch.load(os.path.join(options.work, options.run, "transformer.pt"), map_location="cpu")
    concepts = Painter(options.work, options.modules, options.stages).concepts
    pools = Latents(options.work, options.run, options.sets, {c["label"] for c in concepts}).pools
    found = {size: seen_at(pools, size, side) for size, side in ((WHOLE, FORM_SIDE), (HALF, HALF_SIDE))}
    means = {label: np.concatenate([found[WHOLE][label], found[HALF][label]]) for label in found[WHOLE].keys() & found[HALF].keys()}
    vocabulary = with_synonyms(state["words"])
    forms = torch.from_numpy(forms_of_words(concepts, means, vocabulary, max(state["words"].values()) + 1)).float()
    maps = {size: torch.from_numpy(smaller(pools, means, size)).float() for size in {place[2] for place in all_places()} - {WHOLE, HALF}}
    for name in ("model", "average"):
        model = TextToLatents(Shape(**state["settings"]))
        restore(model, state[name])
        with torch.no_grad():
            model.text.reader.forms.weight.copy_(forms)
            seen = STRENGTH * model.transformer.cells_in.weight
            blank = torch.zeros_like(seen)
            for size, layer in zip(sorted({place[2] for place in all_places()}, reverse=True), model.transformer.sketch.forms.outs):
                layer.weight.copy_(seen @ maps[size].T if size in maps else torch.cat([seen, blank, blank, blank], 1))
        state[name] = model.state_dict()
    os.makedirs(os.path.join(options.work, options.out), exist_ok=True)
    save_checkpoint(os.path.join(options.work, options.out, "transformer.pt"), {key: state[key] for key in ("model", "average", "settings", "words")})


def plain_things(pools: dict, size: float):
    """Every thing of this size in natural colours: latents of its picture, its label and the row and column of its centre."""
    for (columns, rows), pool in pools.items():
        for z, spec in zip(pool.z, pool.specs):
            items = spec.get("items", [])
            if not items or spec.get("word") or spec["style"] == "line":
                continue
            spots = places(spec["kind"], spec.get("n", len(items)), (columns, rows))
            for number, (x, y, found) in enumerate(spots):
                item = items[min(number, len(items) - 1)]
                if found == size and not item.get("paint"):
                    yield z.astype(np.float32), item["label"], rows / 2 + y, columns / 2 + x


def seen_at(pools: dict, size: float, side: int) -> dict[str, np.ndarray]:
    """By label, the mean of the cells [side * side * channels] that the thing lies on, less what all things have in common."""
    total, count = defaultdict(float), defaultdict(int)
    for z, label, y, x in plain_things(pools, size):
        top, left = round(y) - side // 2, round(x) - side // 2
        if min(top, left) >= 0 and top + side <= z.shape[1] and left + side <= z.shape[2]:
            total[label] += z[:, top : top + side, left : left + side]
            count[label] += 1
    means = {label: total[label] / count[label] for label in total}
    common = np.mean(list(means.values()), 0)
    print(f"size {size}: {len(means)} things, seen {sum(count.values())} times, at least {min(count.values())} each")
    return {label: (mean - common).transpose(1, 2, 0).ravel() for label, mean in means.items()}


def smaller(pools: dict, means: dict[str, np.ndarray], size: float, most: int = 3000) -> np.ndarray:
    """The linear map [4 * channels, channels] that best makes cells of this size from cells of the largest one. Latents are linear in pixels, and
    so is making a picture smaller."""
    given, wanted = [], []
    known = (thing for thing in plain_things(pools, size) if thing[1] in means)
    for z, label, y, x in islice(known, most):
        rows, columns = z.shape[1:]
        form = means[label][: FORM_SIDE**2 * len(z)].reshape(FORM_SIDE, FORM_SIDE, -1)
        down, across = (spread_of_form(v - n / 2, size).numpy().reshape(REACH, 2, FORM_SIDE) for v, n in ((y, rows), (x, columns)))
        cells = np.einsum("rak,cbl,klf->rcabf", down, across, form).reshape(REACH, REACH, -1)
        lies = np.einsum("rak,cbl->rc", down, across) > 0.5
        top, left = (REACH - rows) // 2, (REACH - columns) // 2
        inside = slice(top, top + rows), slice(left, left + columns)
        given.append(cells[inside][lies[inside]])
        wanted.append(z.transpose(1, 2, 0)[lies[inside]])
    given, wanted = np.concatenate(given), np.concatenate(wanted)
    wanted = wanted - wanted.mean(0)
    found = np.linalg.solve(given.T @ given + 10 * np.eye(given.shape[1]), given.T @ wanted)
    left_over = np.square(wanted - given @ found).mean() / np.square(wanted).mean()
    print(f"size {size}: {len(given)} cells, {1 - left_over:.2f} of their variance explained")
    return found


def forms_of_words(concepts: list[dict], means: dict[str, np.ndarray], vocabulary: dict[str, int], words: int) -> np.ndarray:
    """[words, cells * channels]: least squares over all names, each the mean of its words."""
    names, targets = [], []
    for concept in concepts:
        for name in concept["names"]:
            ids = [i for i in (look_up(word, vocabulary) for word in split_words(name)) if i not in (None, PAD)]
            if ids and concept["label"] in means:
                names.append(ids)
                targets.append(means[concept["label"]])
    share = np.zeros((len(names), words))
    for row, ids in enumerate(names):
        for i in ids:
            share[row, i] += 1 / len(ids)
    return np.linalg.solve(share.T @ share + RIDGE * np.eye(words), share.T @ np.stack(targets))


if __name__ == "__main__":
    main()
