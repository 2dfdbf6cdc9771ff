"""The VAE's role in the model: pictures to latents of 16x16-pixel cells and back.

The encoder is linear and fitted in seconds; what it loses, the decoder learns to put back. Noise is added to the latents while the
decoder trains, so that it forgives small errors of the transformer."""

import torch
import torch.nn as nn
import torch.nn.functional as F

from .shapes import CELL, CHANNELS, SHARPER


class Residual(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.second.weight.mul_(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.second(F.silu(self.first(F.silu(x))))


class Encoder(nn.Module):
    """Pixels [B,3,16h,16w] in -1..1 to latents [B,C,h,w]: the principal components of a cell's pixels. Each cell is encoded by itself,
    so an object looks alike to the transformer whatever stands beside it. Nothing here is trained by descent; see fit_encoder.py."""

    def __init__(self, channels: int = CHANNELS):
        super().__init__()
        pixels = 3 * CELL * CELL
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("components", torch.zeros(channels, pixels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = F.pixel_unshuffle(x, CELL) - self.mean.view(1, -1, 1, 1)
        return torch.einsum("bphw,cp->bchw", cells, self.components)


class Decoder(nn.Module):
    """Latents [B,C,h,w] to pixels [B,3,16h,16w]: what the latents say by themselves, and a correction that sees the neighbours."""

    def __init__(self, channels: int = CHANNELS):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 256, 3, padding=1), Residual(256), Residual(256),
            nn.Conv2d(256, 512, 1), nn.PixelShuffle(2), Residual(128), Residual(128),
            nn.Conv2d(128, 256, 1), nn.PixelShuffle(2), Residual(64), Residual(64), Residual(64), nn.SiLU(),
            nn.Conv2d(64, 48, 3, padding=1), nn.PixelShuffle(4),
        )
        self.plain = nn.Sequential(nn.Conv2d(channels, 3 * CELL * CELL, 1), nn.PixelShuffle(CELL))

    def start_from(self, encoder: Encoder) -> None:
        """Makes the decoder the encoder's inverse, with no correction yet."""
        with torch.no_grad():
            self.plain[0].weight.copy_(torch.linalg.pinv(encoder.components)[..., None, None])
            self.plain[0].bias.copy_(encoder.mean)
            self.body[-2].weight.zero_()
            self.body[-2].bias.zero_()

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self.plain(z) + self.body(z)


class Finish(nn.Module):
    """The decoder's pixels [B,3,H,W] to [B,3,4H,4W], all outlines drawn again: what the transformer got a little wrong, and cells that
    do not quite meet, are put right from what lies around them. A correction of bilinear interpolation; sides must be even."""

    def __init__(self, width: int = 64, blocks: int = 4):
        super().__init__()
        self.coarse = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(12, width, 3, padding=1), *(Residual(width) for _ in range(blocks)))
        self.fine = nn.Sequential(nn.Conv2d(width, 128, 1), nn.PixelShuffle(2), Residual(32), nn.SiLU(), nn.Conv2d(32, 3 * SHARPER**2, 3, padding=1), nn.PixelShuffle(SHARPER))
        with torch.no_grad():
            self.fine[-2].weight.zero_()
            self.fine[-2].bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=SHARPER, mode="bilinear") + self.fine(self.coarse(x))


BORDER = 16
"""Pixels that the finish sees beyond the picture: it never trained at an edge."""


class FinishedDecoder(nn.Module):
    """Latents [B,C,h,w] to pixels [B,3,64h,64w]: the shipped decoder."""

    def __init__(self, decoder: Decoder, finish: Finish):
        super().__init__()
        self.decoder, self.finish = decoder, finish

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        soft = F.pad(self.decoder(z), (BORDER,) * 4, mode="replicate")
        edge = BORDER * SHARPER
        return self.finish(soft)[..., edge:-edge, edge:-edge]


def picture_loss(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Absolute error, error of the edges, and error of the blurred pictures: crisp outlines and right colours."""
    loss = (out - target).abs().mean()
    for axis in (2, 3):
        loss = loss + 0.7 * (out.diff(dim=axis) - target.diff(dim=axis)).abs().mean()
    for factor in (2, 4, 8):
        loss = loss + 0.4 * (F.avg_pool2d(out, factor) - F.avg_pool2d(target, factor)).abs().mean()
    return loss
