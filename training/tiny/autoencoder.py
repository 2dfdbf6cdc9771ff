"""The VAE's role in the model: pictures to latents of 16x16-pixel cells and back.

The encoder's channels are brought to unit variance, and noise is added to them while training, so that neighbouring latents
decode to similar pictures and the decoder forgives small errors of the transformer."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from .shapes import CHANNELS


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


class Encoder(nn.Module):
    """Pixels [B,3,16h,16w] in -1..1 to latents [B,C,h,w] of about unit variance."""

    def __init__(self, channels: int = CHANNELS):
        super().__init__()
        self.body = nn.Sequential(
            nn.PixelUnshuffle(4), nn.Conv2d(48, 64, 3, padding=1), Residual(64),
            nn.PixelUnshuffle(2), nn.Conv2d(256, 128, 1), Residual(128),
            nn.PixelUnshuffle(2), nn.Conv2d(512, 192, 1), Residual(192), Residual(192), nn.SiLU(), nn.Conv2d(192, channels, 1),
        )
        self.scale = nn.BatchNorm2d(channels, affine=False, momentum=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale(self.body(x))


class Decoder(nn.Module):
    """Latents [B,C,h,w] to pixels [B,3,16h,16w]."""

    def __init__(self, channels: int = CHANNELS):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 256, 3, padding=1), Residual(256), Residual(256),
            nn.Conv2d(256, 512, 1), nn.PixelShuffle(2), Residual(128), Residual(128),
            nn.Conv2d(128, 256, 1), nn.PixelShuffle(2), Residual(64), Residual(64), Residual(64), nn.SiLU(),
            nn.Conv2d(64, 48, 3, padding=1), nn.PixelShuffle(4),
        )

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.body(z)


def picture_loss(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Absolute error, error of the edges, and error of the blurred pictures: crisp outlines and right colours."""
    loss = (out - target).abs().mean()
    for axis in (2, 3):
        loss = loss + 0.7 * (out.diff(dim=axis) - target.diff(dim=axis)).abs().mean()
    for factor in (2, 4, 8):
        loss = loss + 0.4 * (F.avg_pool2d(out, factor) - F.avg_pool2d(target, factor)).abs().mean()
    return loss
