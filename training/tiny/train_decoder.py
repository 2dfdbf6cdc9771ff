"""Trains the decoder on painted pictures. Resumes from <work>/<run>/decoder.pt when it exists.

python -m tiny.train_decoder --work W --sets core --minutes 15
It needs the encoder alone. With `--polish` half of each batch are latents as the trained transformer predicts them from half-noisy ones:
the decoder learns to repair that network's own errors, such as seams between cells. `--minutes` counts over every resumption."""

import os
import random

import numpy as np
import torch
from PIL import Image

from .autoencoder import Decoder, Encoder, picture_loss
from .captions import caption
from .crew import Crew
from .latents import padded
from .model import open_trained
from .options import parser_with
from .pictures import Pictures, to_bytes
from .pixel_training import PixelTraining
from .preview_data import sheet
from .run import device_of
from .shapes import WINDOW
from .tokenizer import encode
from .vocabulary import with_synonyms


def main() -> None:
    parser = parser_with("work", "run", "sets", "threads")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.015, help="Muon's rate; AdamW's is a twelfth of it")
    parser.add_argument("--noise", type=float, default=0.25, help="largest noise added to latents")
    parser.add_argument("--polish", help="checkpoint of a transformer")
    parser.add_argument("--from", dest="source", help="checkpoint whose correction to start from when the run has none")
    options = parser.parse_args()
    device = device_of()
    crew = Crew(options.threads if device.type == "cpu" else 1)
    folder = os.path.join(options.work, options.run)
    path = os.path.join(folder, "decoder.pt")
    encoder, decoder = Encoder().to(device), Decoder().to(device)
    encoder.load_state_dict(torch.load(os.path.join(folder, "encoder.pt"), map_location=device))
    if not os.path.exists(path):
        if options.source:
            decoder.load_state_dict(torch.load(options.source, map_location=device)["decoder"], strict=False)
        decoder.start_from(encoder)
    matrices = [p for p in decoder.parameters() if p.ndim == 4 and min(p.shape[:2]) >= 64]
    training = PixelTraining("decoder", decoder, path, matrices, options.rate, crew)
    pictures, rng = Pictures(options.work, options.sets), np.random.default_rng(training.step)
    held = Pictures(options.work, [options.sets[-1]]).batch(24, np.random.default_rng(1)).to(device)

    model, vocabulary, r = None, {}, random.Random(training.step)
    if options.polish:
        model, words = open_trained(options.polish, device)
        vocabulary = with_synonyms(words)

    def loss_of(x: torch.Tensor, z: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        noisy = z + torch.rand(len(z), 1, 1, 1, device=device) * options.noise * torch.randn_like(z)
        if model:
            half = len(z) // 2
            t = 0.45 + 0.5 * torch.rand(half, 1, 1, 1, device=device)
            with torch.no_grad():
                predicted = model(t * z[:half] + (1 - t) * torch.randn_like(z[:half]), t.flatten(), ids[:half])
            noisy = torch.cat([predicted, noisy[half:]])
        return picture_loss(decoder(noisy), x)

    def next_batch() -> tuple[torch.Tensor, ...]:
        x, specs = pictures.batch_with_specs(options.batch, rng)
        x = x.to(device)
        ids = torch.from_numpy(padded([encode(caption(s, r), vocabulary, WINDOW) for s in specs])).to(device)
        with torch.no_grad():
            return x, encoder(x), ids

    training.run(options.minutes, 0.7, next_batch, loss_of, lambda: _show(encoder, training.average, held, folder))


@torch.no_grad()
def _show(encoder: Encoder, decoder: Decoder, x: torch.Tensor, folder: str) -> None:
    z = encoder(x)
    out = decoder(z)
    error = ((out.clamp(-1, 1) - x) / 2).pow(2).flatten(1).mean(1)
    print(f"PSNR {(-10 * torch.log10(error)).mean():.2f} dB", flush=True)
    noisy = decoder(z + 0.2 * torch.randn(z.shape, generator=torch.Generator().manual_seed(0)).to(z.device))
    image: Image.Image = sheet([*to_bytes(x[:12]), *to_bytes(decoder.plain(z)[:12]), *to_bytes(out[:12]), *to_bytes(noisy[:12])], 12)
    image.save(os.path.join(folder, "decoder.png"))


if __name__ == "__main__":
    main()
