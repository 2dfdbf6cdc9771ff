"""Where objects lie on the cells. There are few sizes, and each place is always the same fraction of a cell: the network then learns
every object a few times, not at every fraction of a cell."""

from .shapes import GRIDS

WHOLE, HALF, THIRD = 5.5, 3.75, 2.75
"""Sizes of objects in cells: alone, of two, of more."""

Place = tuple[float, float, float]
"""Centre from the middle of the picture, x and y, and size, in cells."""


def places(kind: str, n: int, grid: tuple[int, int]) -> list[Place]:
    """Places of the n objects of a picture of this kind on a grid of (columns, rows)."""
    columns, rows = grid
    if kind in ("one", "word"):
        return [(0, 0, WHOLE)]
    if kind == "sizes":
        return [(-1, 0, min(WHOLE, columns - 2.5)), (columns / 2 - 1.5, rows / 2 - 1.5, THIRD)]
    if kind in ("count", "three"):
        return grouped(n, columns, rows)
    if kind in ("beside", "above"):
        size, gap = (HALF, 2) if (columns if kind == "beside" else rows) >= 8 else (THIRD, 1.5)
        return [(-gap, 0, size), (gap, 0, size)] if kind == "beside" else [(0, -gap, size), (0, gap, size)]
    return []


def grouped(n: int, columns: int, rows: int) -> list[Place]:
    """Places of n equal pictures: in one row, two rows or one column, whichever shows them larger."""
    for size, pitch in ((HALF, 4.0), (THIRD, 3.0), (THIRD * 0.84, 2.5), (THIRD * 0.66, 2.0)):
        for split in ([n], [n // 2, n - n // 2], [1] * n):
            if max(split) * pitch <= columns and len(split) * pitch <= rows:
                return [((j - (c - 1) / 2) * pitch, (i - (len(split) - 1) / 2) * pitch, size) for i, c in enumerate(split) for j in range(c)]
    raise ValueError(f"no room for {n} on {columns}x{rows}")


def all_places() -> list[Place]:
    """Every place that any picture uses, larger ones first."""
    kinds = [("one", 1), ("sizes", 2), ("beside", 2), ("above", 2), *(("count", n) for n in (2, 3, 4, 5))]
    found = {place for grid in GRIDS for kind, n in kinds for place in places(kind, n, grid)}
    return sorted(found, key=lambda place: (-place[2], place[0], place[1]))
