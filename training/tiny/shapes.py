"""Sizes that the data, the networks and the export agree on."""

CELL = 16
"""Pixels per latent cell and side."""

CHANNELS = 24
"""Latent channels."""

GRIDS = [(8, 8), (9, 7), (7, 9), (11, 6), (6, 11)]
"""Trained grids as (columns, rows); the same list stands in pack-pictures.mjs."""

GRID_SHARES = [0.34, 0.28, 0.12, 0.16, 0.10]
"""How often each grid is trained. Landscape 4:3 is the product's default size."""

WINDOW = 64
"""Most tokens of a prompt."""
