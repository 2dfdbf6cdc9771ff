"""Paints training pictures ahead of time into parts that the trainers map into memory.

python -m tiny.make_data --work W --modules M --name core --stages 1 --count 48000
Each part is one grid: <work>/data/<name>/<part>.bin (RGB bytes), <part>.objects (how much of each cell objects cover, bytes) and
<part>.jsonl (one specification per line). Finished parts
are kept, so the command can be repeated or run with a larger count. Several processes can share the work (--share 0/2, 1/2)."""

import json
import os
import random

from .draw import Painter
from .options import parser_with
from .shapes import GRID_SHARES, GRIDS

PART = 2000


def main() -> None:
    parser = parser_with("work", "modules", "stages")
    parser.add_argument("--name", required=True)
    parser.add_argument("--count", type=int, default=48000)
    parser.add_argument("--share", default="0/1")
    parser.add_argument("--kinds", help="these kinds alone, in equal shares (see KINDS in draw.py)")
    parser.add_argument("--held", action="store_true", help="only combinations that training never meets")
    options = parser.parse_args()
    mine, shares = map(int, options.share.split("/"))
    folder = os.path.join(options.work, "data", options.name)
    os.makedirs(folder, exist_ok=True)
    painter = Painter(options.work, options.modules, options.stages)
    for part in range(mine, -(-options.count // PART), shares):
        base = os.path.join(folder, f"{part:04d}")
        if os.path.exists(base + ".jsonl"):
            continue
        r = random.Random(f"{options.name}{part}")
        grid = _grid_of(part)
        size = min(PART, options.count - part * PART)
        specs = [painter.spec(r, options.kinds and r.choice(options.kinds.split(",")), options.held) for _ in range(size)]
        with open(base + ".bin", "wb") as file, open(base + ".objects", "wb") as objects:
            for spec in specs:
                picture, covered = painter.paint_with_objects(spec, grid)
                file.write(picture.tobytes())
                objects.write(covered.tobytes())
        with open(base + ".tmp", "w", encoding="utf-8") as file:
            file.write(json.dumps({"grid": grid}) + "\n")
            file.writelines(json.dumps(spec) + "\n" for spec in specs)
        os.rename(base + ".tmp", base + ".jsonl")
        print(part, grid, flush=True)


def _grid_of(part: int) -> tuple[int, int]:
    """Deals the grids out evenly by their shares, so that any number of parts has the right mixture."""
    owed, grid = [0.0] * len(GRIDS), 0
    for _ in range(part + 1):
        owed = [o + s for o, s in zip(owed, GRID_SHARES)]
        grid = max(range(len(GRIDS)), key=lambda i: owed[i])
        owed[grid] -= 1
    return GRIDS[grid]


if __name__ == "__main__":
    main()
