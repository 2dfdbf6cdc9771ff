"""Sampling as the product does it (models/tiny/README.md), for looking at a model while it trains."""

import torch

from .latents import padded
from .tokenizer import NULL, encode


def sigmas(steps: int, shift: float) -> list[float]:
    return [shift * s / (1 + (shift - 1) * s) for s in (1 - i / steps for i in range(steps + 1))]


@torch.no_grad()
def sample(model, prompts: list[str], vocabulary: dict[str, int], grid: tuple[int, int], steps: int = 16, weight: float = 3.0,
           shift: float = 2.0, low: float = 0.3, seed: int = 0) -> torch.Tensor:
    """Latents [B,C,h,w] for prompts, all on one grid (columns, rows)."""
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    columns, rows = grid
    b = len(prompts)
    x = torch.randn(b, model.transformer.shape.channels, rows, columns, generator=generator).to(device)
    ids = padded([encode(p, vocabulary, model.transformer.shape.window) for p in prompts] + [[NULL]] * b)
    hidden, pooled, mask = model.text(torch.from_numpy(ids).to(device))
    levels = sigmas(steps, shift)
    for now, after in zip(levels, levels[1:]):
        if now >= low and weight != 1:
            clean = model.transformer(torch.cat([x, x]), torch.full((2 * b,), 1 - now, device=device), hidden, pooled, mask)
            with_prompt, without = clean.chunk(2)
            clean = without + weight * (with_prompt - without)
        else:
            clean = model.transformer(x, torch.full((b,), 1 - now, device=device), hidden[:b], pooled[:b], mask[:b])
        x = x + (clean - x) * (now - after) / now
    return x
