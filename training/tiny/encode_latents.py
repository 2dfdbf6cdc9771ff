"""Encodes painted pictures to latents once, so that training the transformer only reads.

python -m tiny.encode_latents --work W --sets core     (finished parts are kept)"""

import glob
import os

import numpy as np
import torch

from .autoencoder import Encoder
from .options import parser_with
from .pictures import Pictures, to_tensor
from .run import device_of


@torch.no_grad()
def main() -> None:
    parser = parser_with("work", "run", "sets", "threads")
    parser.add_argument("--parts", type=int, default=10**6, help="encode at most this many parts")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    device = device_of()
    encoder = Encoder().to(device)
    encoder.load_state_dict(torch.load(os.path.join(options.work, options.run, "encoder.pt"), map_location=device))
    pictures = Pictures(options.work, options.sets)
    for path, (pixels, _, _) in list(pictures.parts.items())[: options.parts]:
        folder = os.path.join(options.work, options.run, "latents", os.path.basename(os.path.dirname(path)))
        os.makedirs(folder, exist_ok=True)
        out = os.path.join(folder, os.path.basename(path).replace(".jsonl", ".npy"))
        if os.path.exists(out):
            continue
        z = [encoder(to_tensor(pixels[i : i + 50]).to(device)).half().cpu().numpy() for i in range(0, len(pixels), 50)]
        np.save(out + ".tmp.npy", np.concatenate(z))
        os.rename(out + ".tmp.npy", out)
    print(len(glob.glob(os.path.join(options.work, options.run, "latents", "*", "*.npy"))), "parts encoded")


if __name__ == "__main__":
    main()
