"""The transformer: joint attention over words and latent cells, as in FLUX, small enough for a CPU.

Two-stream blocks first, one-stream blocks after; 2-D rotary positions for cells, none for words; normalised queries and keys;
one shared modulation by time and pooled text. The network's raw output is scaled so that it has unit variance at every noise
level (the preconditioning of Karras et al. 2022, written for rectified flow); `forward` returns the clean latents."""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

from .places import HALF, WHOLE, all_places
from .shapes import CHANNELS, SHORT_WORD, WINDOW
from .tokenizer import LETTERS


@dataclass
class Shape:
    """`form` 0 leaves the forms of words out: the files shipped before 2,000 things were drawn have none."""

    words: int
    width: int = 256
    heads: int = 4
    text_blocks: int = 2
    double_blocks: int = 2
    single_blocks: int = 3
    slots: int = 4
    form: int = 40
    channels: int = CHANNELS
    window: int = WINDOW


def norm(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


PLACE_WAVES = 6
SKETCH, REACH = 40, 10
"""Features of a sketched cell, and the largest side of a grid. All sides are even, so that the middle lies between cells."""
LETTER_PLACES = 2 * SHORT_WORD - 1 + 15
"""How many places letters have: of short words, and of words up to eight letters."""
LETTER_PARTS, GLYPH = 3, 96
"""Columns of cells that a letter can fill (left and right half of a large one, a small one), and features of one cell of a letter."""
FOUND = 3
"""How many things of a prompt are looked up."""
FORM_SIDE, HALF_SIDE = 6, 4
"""Cells per side of a word's form for the largest size, and of the one for half of it. Both lie alike on the cells wherever they stand; for
smaller sizes the first is made smaller."""
FORM_CELLS = FORM_SIDE**2 + HALF_SIDE**2
FIRST_LETTER = 4
"""Id of <c:A>; vocabulary.py gives the other letters the ids that follow."""


def place_waves(row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
    """Where each cell lies from the middle, as waves, and how far the grid reaches. Attention's rotary positions alone tell a
    cell little about its absolute place, and a small model draws shapes by place."""
    speeds = math.pi / 12 * 1.6 ** torch.arange(PLACE_WAVES, device=row.device)
    angles = torch.cat([row[:, None] * speeds, column[:, None] * speeds], 1)
    reach = torch.stack([row[-1:].expand_as(row), column[-1:].expand_as(column)], 1) / 4
    return torch.cat([angles.sin(), angles.cos(), reach], 1)


def rotary(rows: torch.Tensor, columns: torch.Tensor, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines [tokens, width/2]; half of the pairs turn with the row and half with the column."""
    pairs = width // 4
    speeds = 1.0 / (30.0 ** (torch.arange(pairs, device=rows.device) / pairs))
    angles = torch.cat([rows[:, None] * speeds, columns[:, None] * speeds], 1)
    return angles.cos(), angles.sin()


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def heads_of(x: torch.Tensor, heads: int) -> tuple[torch.Tensor, ...]:
    """[B,N,3d] to queries, keys, values [B,heads,N,d/heads]."""
    b, n, d = x.shape
    return x.reshape(b, n, 3, heads, d // 3 // heads).permute(2, 0, 3, 1, 4).unbind(0)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
    return out.transpose(1, 2).flatten(2)


class TextBlock(nn.Module):
    def __init__(self, d: int, heads: int):
        super().__init__()
        self.heads, self.into, self.out = heads, nn.Linear(d, 7 * d), nn.Linear(5 * d, d)

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        d = x.shape[-1]
        y = self.into(norm(x))
        q, k, v = heads_of(y[..., : 3 * d], self.heads)
        return x + self.out(torch.cat([attend(norm(q), norm(k), v, bias), F.gelu(y[..., 3 * d :], approximate="tanh")], -1))


class DoubleBlock(nn.Module):
    """Words and cells keep their own weights and meet in one attention."""

    def __init__(self, d: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.ModuleList(nn.Linear(d, 3 * d) for _ in range(2))
        self.out = nn.ModuleList(nn.Linear(d, d) for _ in range(2))
        self.up = nn.ModuleList(nn.Linear(d, 4 * d) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(4 * d, d) for _ in range(2))
        self.shift = nn.Parameter(torch.zeros(2, 6, d))

    def forward(self, text, cells, modulation, turn, bias):
        streams, parts, mods = (text, cells), [], []
        for j, x in enumerate(streams):
            m = modulation[:, 6 * j : 6 * j + 6] + self.shift[j]
            mods.append(m)
            parts.append(heads_of(self.qkv[j](norm(x) * (1 + m[:, 1:2]) + m[:, 0:1]), self.heads))
        q, k, v = (torch.cat([parts[0][i], parts[1][i]], 2) for i in range(3))
        mixed = attend(rotate(norm(q), *turn), rotate(norm(k), *turn), v, bias)
        n, result = text.shape[1], []
        for j, (x, a) in enumerate(zip(streams, (mixed[:, :n], mixed[:, n:]))):
            m = mods[j]
            x = x + m[:, 2:3] * self.out[j](a)
            hidden = F.gelu(self.up[j](norm(x) * (1 + m[:, 4:5]) + m[:, 3:4]), approximate="tanh")
            result.append(x + m[:, 5:6] * self.down[j](hidden))
        return result


class SingleBlock(nn.Module):
    """Words and cells in one sequence; attention and feed-forward side by side."""

    def __init__(self, d: int, heads: int):
        super().__init__()
        self.heads, self.into, self.out = heads, nn.Linear(d, 7 * d), nn.Linear(5 * d, d)
        self.shift = nn.Parameter(torch.zeros(3, d))

    def forward(self, x, modulation, turn, bias):
        d = x.shape[-1]
        m = modulation + self.shift
        y = self.into(norm(x) * (1 + m[:, 1:2]) + m[:, 0:1])
        q, k, v = heads_of(y[..., : 3 * d], self.heads)
        mixed = attend(rotate(norm(q), *turn), rotate(norm(k), *turn), v, bias)
        return x + m[:, 2:3] * self.out(torch.cat([mixed, F.gelu(y[..., 3 * d :], approximate="tanh")], -1))


class TextEncoder(nn.Module):
    """Token ids [B,L] to hidden [B,L,d], pooled [B,d and what the reader gives] and mask [B,L]."""

    def __init__(self, shape: Shape):
        super().__init__()
        d = shape.width
        self.words = nn.Embedding(shape.words, d)
        nn.init.normal_(self.words.weight, std=0.5)
        self.places = nn.Parameter(torch.randn(shape.window, d) * 0.1)
        self.blocks = nn.ModuleList(TextBlock(d, shape.heads) for _ in range(shape.text_blocks))
        self.reader = Reader(shape)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mask = (ids > 0).float()
        x = self.words(ids) + self.places[: ids.shape[1]]
        bias = (mask[:, None, None] - 1) * 1e4
        for block in self.blocks:
            x = block(x, bias)
        x = norm(x) * mask[..., None]
        mean = x.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        return x, torch.cat([mean, self.reader(x, mask, ids)], 1), mask


class Reader(nn.Module):
    """What the sketch needs to know: the words as a few learned queries read them, the things that others find and their forms, and which
    letter of a quoted word has which place in the word. A letter's place counts from the middle of the word, in half letters; short words
    are written larger and have places of their own."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.queries = nn.Parameter(torch.randn(shape.slots, shape.width) * 0.1)
        self.finds = shape.form > 0
        if self.finds:
            self.finders = nn.Parameter(torch.randn(FOUND, shape.width) * 0.1)
            self.forms = nn.Embedding(shape.words, FORM_CELLS * shape.form)
            nn.init.normal_(self.forms.weight, std=0.3)

    def look(self, queries: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """How much each query [Q,d] sees of each word: [B,Q,L]."""
        return (queries @ hidden.transpose(1, 2) + (mask[:, None] - 1) * 1e4).softmax(-1)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """[B, slots * d + FOUND * d + FOUND * FORM_CELLS * form + LETTER_PLACES * letters] from words [B,L,d]."""
        parts = [norm(self.look(self.queries, hidden, mask) @ hidden).flatten(1)]
        if self.finds:
            shares = self.look(self.finders, hidden, mask)
            parts += [norm(shares @ hidden).flatten(1), (shares @ self.forms(ids)).flatten(1)]
        which = (ids[..., None] == torch.arange(FIRST_LETTER, FIRST_LETTER + len(LETTERS), device=ids.device)).float()
        letters = which.sum(-1)
        count = letters.sum(1, keepdim=True)
        place = 2 * letters.cumsum(1) - count - 1
        short = (count <= SHORT_WORD).float()
        place = short * (place + SHORT_WORD - 1) + (1 - short) * (place.clamp(-7, 7) + 7 + 2 * SHORT_WORD - 1)
        spread = (place[:, None] == torch.arange(LETTER_PLACES, device=ids.device).float()[:, None]).float()
        return torch.cat([*parts, (spread @ which).flatten(1)], 1)


class Sketch(nn.Module):
    """Where things go, said by the words alone: one linear map turns what the reader read into features for every place around the
    middle. What a word looks like at a place is a product of both; blocks must learn it as such, word by word and place by place,
    and this map has it from the start."""

    def __init__(self, shape: Shape):
        super().__init__()
        d = shape.width
        of_forms = [FOUND * d, FOUND * FORM_CELLS * shape.form] if shape.form else []
        self.read = [shape.slots * d, *of_forms, LETTER_PLACES * len(LETTERS)]
        self.places = nn.Linear(self.read[0], SKETCH * REACH * REACH)
        self.out = nn.Linear(SKETCH, d)
        self.forms = Forms(shape) if shape.form else None
        self.letters = Letters(d, self.read[0])
        nn.init.normal_(self.places.weight, std=0.01)

    def forward(self, read: torch.Tensor, rows: int, columns: int, reach: torch.Tensor) -> torch.Tensor:
        """Features [B,rows*columns,d]; `reach` [2] says how far the grid reaches from the middle, down and to the right."""
        slots, *of_forms, letters = read.split(self.read, 1)
        places = self.places(slots).view(-1, SKETCH, REACH, REACH).permute(0, 2, 3, 1)
        top, left = (REACH - rows) // 2, (REACH - columns) // 2
        places = self.out(places) + self.letters(slots, letters.view(-1, LETTER_PLACES, len(LETTERS)))
        if self.forms:
            places = places + self.forms(slots, *of_forms, reach)
        return places[:, top : top + rows, left : left + columns].flatten(1, 2)


class Forms(nn.Module):
    """What a thing looks like, cell by cell: every word has two forms, and the words say where they are put, out of all places that draw.py
    knows. Things of the two largest sizes have a cell of a form in each cell; in smaller ones, up to four of its cells meet in one, and each of
    the four has features of its own. How the words say it (the style) weighs the features."""

    def __init__(self, shape: Shape):
        super().__init__()
        d, said, found = shape.width, shape.slots * shape.width, FOUND * shape.width
        spots = all_places()
        self.number = len(spots)
        self.sizes = [sum(s[2] == size for s in spots) for size in sorted({s[2] for s in spots}, reverse=True)]
        self.choose = nn.ModuleList([nn.Linear(said + found, 192), nn.Linear(2, 192, bias=False), nn.Linear(192, FOUND * len(spots))])
        self.manner = nn.Linear(said, shape.form)
        self.outs = nn.ModuleList(nn.Linear(4 * shape.form, d, bias=False) for _ in self.sizes)
        nn.init.ones_(self.manner.bias)
        nn.init.constant_(self.choose[2].bias, -2.0)
        self.halves = [number for number, spot in enumerate(spots) if spot[2] == HALF]
        for name, which in (("rows", 1), ("columns", 0)):
            self.register_buffer(name, torch.stack([spread_of_form(spot[which], spot[2]) for spot in spots]), persistent=False)

    def choices(self, said: torch.Tensor, found: torch.Tensor, reach: torch.Tensor) -> torch.Tensor:
        """Whether each thing stands at each place, as logits [B,FOUND,places]."""
        into, of_grid, out = self.choose
        hidden = F.gelu(into(torch.cat([said, found], 1)) + of_grid(reach), approximate="tanh")
        return out(hidden).view(-1, FOUND, self.number)

    def forward(self, said: torch.Tensor, found: torch.Tensor, forms: torch.Tensor, reach: torch.Tensor) -> torch.Tensor:
        """Features [B,REACH,REACH,d]."""
        chosen = self.choices(said, found, reach).sigmoid().transpose(1, 2)
        form = forms.shape[1] // (FOUND * FORM_CELLS)
        weighed = forms.view(-1, FOUND, FORM_CELLS, form) * self.manner(said)[:, None, None]
        whole, half = weighed.split([FORM_SIDE**2, HALF_SIDE**2], 2)
        half = F.pad(half.view(-1, FOUND, HALF_SIDE, HALF_SIDE, form), (0, 0, 0, 2, 0, 2)).flatten(2)
        first, last = self.halves[0], self.halves[-1] + 1
        placed = torch.cat([chosen[:, :first] @ whole.flatten(2), chosen[:, first:last] @ half, chosen[:, last:] @ whole.flatten(2)], 1)
        placed = placed.view(-1, self.number, FORM_SIDE, FORM_SIDE * form)
        tall = (self.rows @ placed).view(-1, self.number, 2 * REACH, FORM_SIDE, form)
        wide = self.columns[:, None] @ tall  # [B, places, 2 * REACH, 2 * REACH, features]
        total = 0
        for part, map_out in zip(wide.split(self.sizes, 1), self.outs):
            cells = part.sum(1).view(-1, REACH, 2, REACH, 2, form).permute(0, 1, 3, 2, 4, 5)
            total = total + map_out(cells.flatten(3))
        return total


def spread_of_form(centre: float, size: float) -> torch.Tensor:
    """How much of each cell of a form lies in each cell around the middle, along one side: 0..1 in [2 * REACH, FORM_SIDE]. Even and odd
    cells of the form have rows of their own, as they may meet in one cell; those of the two largest sizes never do."""
    spread, pitch = torch.zeros(REACH, 2, FORM_SIDE), size / WHOLE
    if size == HALF:
        first = round(centre + REACH / 2) - HALF_SIDE // 2
        for cell in range(HALF_SIDE):
            if 0 <= first + cell < REACH:
                spread[first + cell, 0, cell] = 1
        return spread.flatten(0, 1)
    for cell in range(FORM_SIDE):
        start = centre + (cell - FORM_SIDE / 2) * pitch
        for at in range(REACH):
            overlap = min(start + pitch, at - REACH / 2 + 1) - max(start, at - REACH / 2)
            spread[at, cell % 2 if size < WHOLE else 0, cell] = max(0.0, overlap) / pitch
    return spread.flatten(0, 1)


class Letters(nn.Module):
    """What a letter looks like in each row of cells, looked up where draw.py writes it: a short word's letters fill two columns each,
    others one. How the words say it (brush or print, the colour) weighs the features."""

    def __init__(self, d: int, said: int):
        super().__init__()
        self.glyphs = nn.Parameter(torch.randn(LETTER_PARTS, len(LETTERS), REACH * GLYPH) * 0.1)
        self.manner = nn.Linear(said, GLYPH)
        nn.init.ones_(self.manner.bias)
        self.out = nn.Linear(GLYPH, d)
        self.register_buffer("columns", columns_of_letters(), persistent=False)

    def forward(self, said: torch.Tensor, letters: torch.Tensor) -> torch.Tensor:
        """Features [B,REACH,REACH,d] of rows and columns from letters [B,LETTER_PLACES,letters]."""
        found = (self.columns @ letters[:, None]) @ self.glyphs  # [B, parts, columns, rows * features]
        rows = found.sum(1).view(-1, REACH, REACH, GLYPH).transpose(1, 2)
        return self.out(rows * self.manner(said)[:, None, None])


def columns_of_letters() -> torch.Tensor:
    """Which column, counted like those of the sketch, is filled by which part of the letter in which place: 0 or 1 in
    [LETTER_PARTS, REACH, LETTER_PLACES]."""
    columns, middle, short = torch.zeros(LETTER_PARTS, REACH, LETTER_PLACES), REACH // 2, SHORT_WORD - 1
    for half in range(-short, short + 1):
        columns[0, middle + half - 1, half + short] = 1
        columns[1, middle + half, half + short] = 1
    for half in range(-7, 8):
        columns[2, middle + (half - 1) // 2, half + 7 + 2 * short + 1] = 1
    return columns


class Transformer(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        d = shape.width
        self.shape = shape
        self.cells_in, self.text_in, self.places_in = nn.Linear(shape.channels, d), nn.Linear(d, d), nn.Linear(PLACE_WAVES * 4 + 2, d)
        self.time_in, self.pooled_in, self.both = nn.Linear(256, d), nn.Linear(d, d), nn.Linear(d, d)
        self.modulate = nn.Linear(d, 17 * d)
        self.sketch = Sketch(shape)
        self.double_stream = nn.ModuleList(DoubleBlock(d, shape.heads) for _ in range(shape.double_blocks))
        self.single_stream = nn.ModuleList(SingleBlock(d, shape.heads) for _ in range(shape.single_blocks))
        self.cells_out = nn.Linear(d, shape.channels)
        nn.init.normal_(self.modulate.weight, std=0.01)
        nn.init.zeros_(self.modulate.bias)
        with torch.no_grad():
            for gate in (2, 5, 8, 11, 14):  # open gates learn faster than closed ones at this size
                self.modulate.bias.view(17, d)[gate] = 0.3
        nn.init.zeros_(self.cells_out.weight)
        nn.init.zeros_(self.cells_out.bias)

    def forward(self, latents, t, hidden, pooled, mask):
        """Clean latents [B,C,h,w] predicted from latents at time t (0 noise, 1 picture)."""
        b, c, rows, columns = latents.shape
        d = self.shape.width
        time = t.view(-1, 1, 1, 1)
        spread = torch.rsqrt(time.square() + (1 - time).square())
        speeds = torch.exp(-math.log(1e4) * torch.arange(128, device=t.device) / 128)
        wave = t[:, None] * 1000 * speeds
        vector = F.silu(self.time_in(torch.cat([wave.cos(), wave.sin()], 1)) + self.pooled_in(pooled[:, :d]))
        modulation = self.modulate(F.silu(self.both(vector))).view(b, 17, d)
        text = self.text_in(hidden)
        length = hidden.shape[1]
        row = torch.arange(rows, device=t.device)[:, None].expand(rows, columns).reshape(-1) - (rows - 1) / 2
        column = torch.arange(columns, device=t.device)[None].expand(rows, columns).reshape(-1) - (columns - 1) / 2
        cells = self.cells_in((latents * spread).flatten(2).transpose(1, 2)) + self.places_in(place_waves(row, column)) + self.sketch(pooled[:, d:], rows, columns, torch.cat([row[-1:], column[-1:]]) / 4)
        still = torch.zeros(length, device=t.device)
        turn = rotary(torch.cat([still, row]), torch.cat([still, column]), d // self.shape.heads)
        bias = torch.cat([(mask - 1) * 1e4, torch.zeros(b, rows * columns, device=t.device)], 1)[:, None, None]
        for block in self.double_stream:
            text, cells = block(text, cells, modulation[:, :12], turn, bias)
        x = torch.cat([text, cells], 1)
        for block in self.single_stream:
            x = block(x, modulation[:, 12:15], turn, bias)
        x = norm(x[:, length:]) * (1 + modulation[:, 16:17]) + modulation[:, 15:16]
        raw = self.cells_out(x).transpose(1, 2).reshape(b, c, rows, columns)
        return time * spread.square() * latents + (1 - time) * spread * raw


class TextToLatents(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.text, self.transformer = TextEncoder(shape), Transformer(shape)

    def forward(self, latents, t, ids):
        return self.transformer(latents, t, *self.text(ids))

    def placing_loss(self, hidden, pooled, mask, named, put, grid):
        """Cross-entropies of what the forms are told: which words name each thing (`named` [B,FOUND,L], 0 or 1) and where it stands (`put`
        [B,FOUND,places]) on a grid of (rows, columns). What trains the pictures alone finds neither: both would have to be right at once."""
        reader, sketch = self.text.reader, self.transformer.sketch
        seen = (reader.look(reader.finders, hidden, mask) * named).sum(-1)
        known = named.amax(-1)
        words = -(seen.clamp(min=1e-5).log() * known).sum() / known.sum().clamp(min=1)
        said, found, *_ = pooled[:, self.transformer.shape.width :].split(sketch.read, 1)
        reach = torch.tensor([(side - 1) / 8 for side in grid], device=pooled.device)
        places = F.binary_cross_entropy_with_logits(sketch.forms.choices(said, found, reach), put, reduction="sum") / len(put)
        return words + places

    def settings(self) -> dict:
        return asdict(self.transformer.shape)


def restore(model: nn.Module, saved: dict) -> None:
    """Loads weights; a longer vocabulary keeps the rows it already had, and layers of another shape start anew."""
    own = model.state_dict()
    for name, value in saved.items():
        if name not in own:
            continue
        if own[name].shape == value.shape:
            own[name].copy_(value)
        elif own[name].shape[1:] == value.shape[1:]:
            rows = min(len(value), len(own[name]))
            own[name][:rows].copy_(value[:rows])


def open_trained(path: str, device: torch.device | str = "cpu") -> tuple[TextToLatents, dict[str, int]]:
    """The averaged network of a checkpoint, for use and not for training, and its words."""
    state = torch.load(path, map_location=device)
    model = TextToLatents(Shape(**state["settings"])).to(device).eval().requires_grad_(False)
    model.load_state_dict(state["average"])
    return model, state["words"]
