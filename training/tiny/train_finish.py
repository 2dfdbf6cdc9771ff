"""Trains the finish: the decoder's soft pixels to sharp ones, on the pairs of make_sharp.py. Resumes from <work>/<run>/finish.pt.

python -m tiny.train_finish --work W --run run1 --minutes 20     (`--minutes` counts over every resumption)"""

import glob
import os

import numpy as np
import torch

from .autoencoder import Decoder, Finish, picture_loss
from .crew import Crew
from .options import parser_with
from .pictures import to_bytes, to_tensor
from .pixel_training import PixelTraining
from .preview_data import sheet
from .run import device_of
from .shapes import CELL, SHARPER

CROP = 4
"""Side of a training crop in cells; another cell on each side is seen and not judged."""


class Pairs:
    """Parts of predicted latents and large pictures, mapped into memory."""

    def __init__(self, folder: str):
        self.parts = []
        for path in sorted(glob.glob(os.path.join(folder, "sharp", "*.npy"))):
            z = np.load(path, mmap_mode="r")
            sharp = np.memmap(path.replace(".npy", ".bin"), np.uint8, "r")
            self.parts.append((z, sharp.reshape(len(z), z.shape[2] * CELL * SHARPER, z.shape[3] * CELL * SHARPER, 3)))

    def batch(self, size: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Latents [B,C,CROP+2,CROP+2] and the large pixels of the inner cells."""
        z, sharp = self.parts[rng.integers(len(self.parts))]
        side, cell = CROP + 2, CELL * SHARPER
        cells, pixels = [], []
        for i in rng.choice(len(z), size, replace=False):
            y, x = (rng.integers(n - side + 1) for n in z.shape[2:])
            cells.append(z[i, :, y : y + side, x : x + side])
            pixels.append(sharp[i, (y + 1) * cell : (y + 1 + CROP) * cell, (x + 1) * cell : (x + 1 + CROP) * cell])
        return torch.from_numpy(np.stack(cells)).float(), to_tensor(np.stack(pixels))


def main() -> None:
    parser = parser_with("work", "run", "threads")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.012, help="Muon's rate; AdamW's is a twelfth of it")
    options = parser.parse_args()
    device = device_of()
    crew = Crew(options.threads if device.type == "cpu" else 1)
    folder = os.path.join(options.work, options.run)
    path = os.path.join(folder, "finish.pt")
    decoder, finish = Decoder().to(device).eval().requires_grad_(False), Finish().to(device)
    decoder.load_state_dict(torch.load(os.path.join(folder, "decoder.pt"), map_location=device)["average"])
    matrices = [p for p in finish.parameters() if p.ndim == 4 and min(p.shape[:2]) >= 32 and p is not finish.fine[-2].weight]
    training = PixelTraining("finish", finish, path, matrices, options.rate, crew)
    pairs, rng = Pairs(folder), np.random.default_rng(training.step)
    edge = CELL * SHARPER

    def next_batch() -> tuple[torch.Tensor, ...]:
        return tuple(x.to(device) for x in pairs.batch(options.batch, rng))

    def loss_of(z: torch.Tensor, sharp: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            soft = decoder(z)
        return picture_loss(finish(soft)[..., edge:-edge, edge:-edge], sharp)

    training.run(options.minutes, 0.6, next_batch, loss_of, lambda: _show(decoder, training.average, pairs, folder))


@torch.no_grad()
def _show(decoder: Decoder, finish: Finish, pairs: Pairs, folder: str) -> None:
    """Rows of soft, finished and true pictures."""
    z, sharp = pairs.parts[0]
    soft = decoder(torch.from_numpy(z[:5].astype(np.float32)))
    plain = torch.nn.functional.interpolate(soft, scale_factor=SHARPER, mode="bilinear")
    sheet([*to_bytes(plain), *to_bytes(finish(soft)), *sharp[:5]], 5).save(os.path.join(folder, "finish.png"))


if __name__ == "__main__":
    main()
