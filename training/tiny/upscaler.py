"""x4 upscaler for clean drawn art, trained on sprites whose larger originals are known.

python -m tiny.upscaler --work W --minutes 8     (writes <work>/<run>/upscaler.pt)"""

import json
import os
import random
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

from .options import parser_with
from .run import device_of, save_checkpoint

FACTOR = 4


class Upscaler(nn.Module):
    """Pixels [B,3,H,W] in -1..1 to [B,3,4H,4W]: a correction of bilinear interpolation."""

    def __init__(self, width: int = 32, layers: int = 6):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(layers))
        self.last = nn.Conv2d(width, 3 * FACTOR**2, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.first(x))
        for a, b in zip(self.body[::2], self.body[1::2]):
            y = y + b(F.relu(a(y)))
        return F.interpolate(x, scale_factor=FACTOR, mode="bilinear") + F.pixel_shuffle(self.last(F.relu(y)), FACTOR)


def crops(work: str, size: int, r: random.Random):
    """Endless batches of sharp crops [B,3,4*size,4*size]: pieces of 1 to 4 sprites over colours and scenes, at full resolution."""
    with open(os.path.join(work, "pack", "sprites.json"), encoding="utf-8") as file:
        meta = json.load(file)
    side = meta["size"]
    sprites = np.memmap(os.path.join(work, "pack", "sprites.bin"), np.uint8, "r").reshape(-1, side, side, 4)
    with open(os.path.join(work, "pack", "scenes.json"), encoding="utf-8") as file:
        scenes = json.load(file)
    raw = np.memmap(os.path.join(work, "pack", "scenes.bin"), np.uint8, "r")
    n = size * FACTOR
    while True:
        batch = []
        for _ in range(12):
            if r.random() < 0.5:
                s = r.choice(scenes)
                view = raw[s["offset"] : s["offset"] + s["width"] * s["height"] * 3].reshape(s["height"], s["width"], 3)
                y, x = r.randrange(s["height"] - n + 1), r.randrange(s["width"] - n + 1)
                base = view[y : y + n, x : x + n].astype(np.float32)
            else:
                base = np.full((n, n, 3), 255, np.float32) if r.random() < 0.5 else np.full((n, n, 3), [r.randrange(256) for _ in range(3)], np.float32)
            sprite = sprites[r.randrange(len(sprites))]
            y, x = r.randrange(side - n + 1), r.randrange(side - n + 1)
            piece = sprite[y : y + n, x : x + n].astype(np.float32)
            alpha = piece[..., 3:] / 255
            batch.append(base * (1 - alpha) + piece[..., :3] * alpha)
        yield torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2) / 127.5 - 1


def shrink(x: torch.Tensor, r: random.Random) -> torch.Tensor:
    """What the decoder would give: small, sometimes a little soft, with faint errors."""
    small = F.avg_pool2d(x, FACTOR)
    if r.random() < 0.6:
        k = r.random() * 0.7
        small = (1 - k) * small + k * F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, 1)
    rough = F.interpolate(torch.randn(len(x), 3, small.shape[2] // 2, small.shape[3] // 2), size=small.shape[2:], mode="bilinear")
    return small + r.random() * 0.04 * rough + r.random() * 0.02 * torch.randn_like(small)


def main() -> None:
    parser = parser_with("work", "run", "threads")
    parser.add_argument("--minutes", type=float, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    device, r = device_of(), random.Random(time.time())
    path = os.path.join(options.work, options.run, "upscaler.pt")
    model = Upscaler().to(device)
    if os.path.exists(path):
        model.load_state_dict(torch.load(path, map_location=device)["model"])
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, betas=(0.9, 0.98), weight_decay=0)
    begin, step, scores = time.time(), 0, []
    for sharp in crops(options.work, 32, r):
        progress = (time.time() - begin) / (options.minutes * 60)
        if progress >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 50) * (1 - progress) + 1e-5
        small = shrink(sharp, r).to(device)
        sharp = sharp.to(device)
        out = model(small)
        loss = (out - sharp).abs().mean() + 0.5 * sum((out.diff(dim=a) - sharp.diff(dim=a)).abs().mean() for a in (2, 3))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        step += 1
        plain = F.interpolate(small, scale_factor=FACTOR, mode="bicubic")
        scores.append([10 * torch.log10(4 / (p.clamp(-1, 1) - sharp).square().mean()).item() for p in (out, plain)])
        if step % 100 == 0:
            print(f"{(time.time() - begin) / 60:.1f} min, step {step}, PSNR {np.mean(scores[-100:], 0).round(2)} (ours, bicubic)", flush=True)
    save_checkpoint(path, {"model": model.state_dict()})


if __name__ == "__main__":
    main()
