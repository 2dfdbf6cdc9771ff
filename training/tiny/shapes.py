"""Sizes that the data, the networks and the export agree on."""

CELL = 16
"""Pixels per latent cell and side."""

SHARPER = 4
"""How much larger the finished picture is than its cells, per side."""

CHANNELS = 40
"""Latent channels."""

GRIDS = [(8, 8), (8, 6), (6, 8), (10, 6), (6, 10)]
"""Trained grids as (columns, rows); the same list stands in pack-pictures.mjs."""

GRID_SHARES = [0.34, 0.32, 0.12, 0.14, 0.08]
"""How often each grid is trained. Landscape 4:3 is the product's default size."""

SHORT_WORD = 4
"""Painted words of at most so many letters are written two cells wide to the letter, longer ones one cell."""

WINDOW = 64
"""Most tokens of a prompt."""
