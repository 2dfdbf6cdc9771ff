"""Fits the linear encoder: principal components of cells, from painted pictures, in seconds.

python -m tiny.fit_encoder --work W --sets core     (writes <work>/<run>/encoder.pt)"""

import os

import numpy as np
import torch
import torch.nn.functional as F

from .autoencoder import Encoder
from .options import parser_with
from .pictures import Pictures
from .run import save_checkpoint
from .shapes import CELL

FLATTEN = 0.5
"""How far the components are brought to one variance: 0 leaves the pixels' own, at which fine detail drowns in noise until the last
steps; at 1 it weighs as much as the colours and has to be learned as early."""


def main() -> None:
    parser = parser_with("work", "run", "sets")
    parser.add_argument("--pictures", type=int, default=2000)
    options = parser.parse_args()
    pictures, rng = Pictures(options.work, options.sets), np.random.default_rng(0)
    cells = []
    for _ in range(options.pictures // 50):
        x = F.pixel_unshuffle(pictures.batch(50, rng), CELL).permute(0, 2, 3, 1).flatten(0, 2)
        busy = x.std(1) > 0.1  # flat cells need one component of each colour; the others need the rest
        cells += [x[busy], x[~busy][::4]]
    x = torch.cat(cells)
    encoder = Encoder()
    encoder.mean.copy_(x.mean(0))
    x = x - encoder.mean
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    values, vectors = values.flip(0), vectors.flip(1)
    n = len(encoder.components)
    spread = values[:n].sqrt()
    scaled = spread ** (1 - FLATTEN)
    encoder.components.copy_((vectors[:, :n] * (scaled / scaled.square().mean().sqrt() / spread)).T)
    os.makedirs(os.path.join(options.work, options.run), exist_ok=True)
    save_checkpoint(os.path.join(options.work, options.run, "encoder.pt"), encoder.state_dict())
    print(f"{len(x)} cells, {n} components hold {values[:n].sum() / values.sum():.4f} of the variance; channels from {(x @ encoder.components.T).std(0).tolist()[0]:.2f} to {(x @ encoder.components.T).std(0).tolist()[-1]:.2f}")


if __name__ == "__main__":
    main()
