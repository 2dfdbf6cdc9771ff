"""Pairs to train the finish with: latents as the trained transformer predicts them, and the same pictures painted large.

python -m tiny.make_sharp --work W --modules M --run run1 --sets core --stages 1 --count 4000
Writes <work>/<run>/sharp/<part>.npy (predicted latents) and <part>.bin (RGB bytes, four times the size of the cells), one grid to a
part. Finished parts are kept."""

import os
import random

import numpy as np
import torch

from .captions import caption
from .draw import Painter
from .latents import Latents, padded
from .model import open_trained
from .options import parser_with
from .shapes import GRID_SHARES, GRIDS, SHARPER, WINDOW
from .tokenizer import encode
from .vocabulary import with_synonyms

PART = 200
TIMES = (0.15, 0.95)
"""At what times the transformer predicts: early, when it is mostly wrong about outlines, to late, when it is right."""


@torch.no_grad()
def main() -> None:
    parser = parser_with("work", "modules", "run", "sets", "stages")
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = os.path.join(options.work, options.run)
    os.makedirs(os.path.join(folder, "sharp"), exist_ok=True)
    model, words = open_trained(os.path.join(folder, "transformer.pt"))
    vocabulary = with_synonyms(words)
    painter = Painter(options.work, options.modules, options.stages)
    pools = Latents(options.work, options.run, options.sets, set(painter.by_label)).pools
    for part in range(-(-options.count // PART)):
        base = os.path.join(folder, "sharp", f"{part:04d}")
        if os.path.exists(base + ".npy"):
            continue
        r = random.Random(part)
        grid = r.choices(GRIDS, GRID_SHARES)[0]
        pool = pools[grid]
        chosen = r.choices(range(len(pool.specs)), pool.chance, k=PART)
        latents = []
        with open(base + ".bin", "wb") as file:
            for rows in (chosen[i : i + 20] for i in range(0, PART, 20)):
                z = torch.from_numpy(pool.z[rows]).float()
                t = torch.empty(len(rows)).uniform_(*TIMES)
                time = t.view(-1, 1, 1, 1)
                ids = torch.from_numpy(padded([encode(caption(pool.specs[i], r), vocabulary, WINDOW) for i in rows]))
                latents.append(model(time * z + (1 - time) * torch.randn_like(z), t, ids).half().numpy())
                for i in rows:
                    file.write(painter.paint(pool.specs[i], grid, SHARPER).tobytes())
        np.save(base + ".tmp.npy", np.concatenate(latents))
        os.rename(base + ".tmp.npy", base + ".npy")
        print(part, grid, flush=True)


if __name__ == "__main__":
    main()
