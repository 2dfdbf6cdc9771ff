"""A sheet of training pictures with their captions, to look at: python -m tiny.preview_data --work W --modules M --out sheet.png"""

import random
import time

import numpy as np
from PIL import Image

from .captions import caption
from .draw import Painter
from .options import parser_with
from .shapes import GRIDS


def sheet(pictures: list[np.ndarray], columns: int) -> Image.Image:
    """Pictures of any size in a grid of equal cells."""
    h, w = max(p.shape[0] for p in pictures), max(p.shape[1] for p in pictures)
    out = Image.new("RGB", ((w + 2) * columns, (h + 2) * -(-len(pictures) // columns)), (120, 120, 120))
    for i, p in enumerate(pictures):
        out.paste(Image.fromarray(p), ((i % columns) * (w + 2), (i // columns) * (h + 2)))
    return out


if __name__ == "__main__":
    parser = parser_with("work", "modules")
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    painter, r = Painter(options.work, options.modules, (1, 2)), random.Random(options.seed)
    print(len(painter.concepts), "concepts,", len(painter.paintable), "repaintable")
    pictures, start = [], time.time()
    for i in range(60):
        spec = painter.spec(r)
        pictures.append(painter.paint(spec, GRIDS[(i // 12) % 5]))
        print(i, caption(spec, r), "  ||  ", caption(spec, r, held=True))
    print((time.time() - start) / 60 * 1000, "ms per picture")
    sheet(pictures, 12).save(options.out)
