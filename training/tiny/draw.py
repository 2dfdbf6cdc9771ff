"""Paints scene specifications: sprites over plain colours or scenes, macro eyes, words."""

import json
import math
import os
import random

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from . import captions
from .places import places
from .shapes import CELL, SHORT_WORD
from .tokenizer import LETTERS

KINDS = {"one": 0.42, "beside": 0.13, "above": 0.06, "sizes": 0.03, "three": 0.04, "count": 0.08, "word": 0.06, "lettering": 0.02, "eye": 0.10, "scene": 0.06}


STYLES = {"3d": 0.58, "flat": 0.22, "line": 0.20}
"""Styles of objects and how often each is painted."""


class Painter:
    """Everything that pictures are composed from, mapped into memory once."""

    def __init__(self, work: str, modules: str, stages: tuple[int, ...] = (1,)):
        pack = os.path.join(work, "pack")
        with open(os.path.join(pack, "sprites.json"), encoding="utf-8") as file:
            meta = json.load(file)
        size = meta["size"]
        pixels = np.memmap(os.path.join(pack, "sprites.bin"), np.uint8, "r").reshape(-1, size, size, 4)
        self.concepts: list[dict] = []
        by_label: dict[str, dict] = {}
        for index, item in enumerate(meta["items"]):
            if item["stage"] not in stages:
                continue
            if item["label"] not in by_label:
                by_label[item["label"]] = {"label": item["label"], "names": item["names"], "stage": item["stage"], "sprites": {}}
                self.concepts.append(by_label[item["label"]])
            by_label[item["label"]]["sprites"][item["style"]] = Image.fromarray(np.ascontiguousarray(pixels[index]), "RGBA")
        self.by_label = by_label
        for concept in self.concepts:
            concept["paintable"] = _colourful(np.asarray(concept["sprites"]["flat"])) > 0.5
        self.paintable = [c for c in self.concepts if c["paintable"]]
        with open(os.path.join(pack, "scenes.json"), encoding="utf-8") as file:
            items = json.load(file)
        raw = np.memmap(os.path.join(pack, "scenes.bin"), np.uint8, "r")
        self.scenes: dict = {}
        for item in items:
            w, h = item["width"], item["height"]
            view = raw[item["offset"] : item["offset"] + w * h * 3].reshape(h, w, 3)
            self.scenes.setdefault((tuple(item["grid"]), item["name"]), []).append(view)
        fonts = os.path.join(modules, "@fontsource")
        self.fonts = {
            True: os.path.join(fonts, "permanent-marker/files/permanent-marker-latin-400-normal.woff"),
            False: os.path.join(fonts, "archivo-black/files/archivo-black-latin-400-normal.woff"),
        }
        self._loaded_fonts: dict = {}

    def spec(self, r: random.Random, kind: str | None = None, held: bool = False) -> dict:
        """A random specification. With `held` it uses a combination that training never meets, else never one of those."""
        while True:
            spec = self._any_spec(r, kind, held)
            if "items" not in spec or self.is_held(spec) == held:
                return spec

    def is_held(self, spec: dict) -> bool:
        labels = [i["label"] for i in spec["items"]]
        checks = [captions.held_out(i["label"], i["paint"]) for i in spec["items"] if i.get("paint")]
        if spec.get("scene") or spec.get("back"):
            checks.append(captions.held_out(labels[0], spec.get("scene") or spec["back"], spec["style"]))
        if len(labels) > 1:
            checks.append(captions.held_out(*sorted(labels)))
        if spec["kind"] == "count":
            checks.append(captions.held_out(labels[0], str(spec["n"])))
        return any(checks)

    def _any_spec(self, r: random.Random, kind: str | None, held: bool) -> dict:
        kind = kind or r.choices(list(KINDS), list(KINDS.values()))[0]
        seed = r.getrandbits(32)
        if kind == "eye":
            spec = {"kind": kind, "seed": seed, "animal": r.choice(captions.EYES) if r.random() < 0.55 else "tiger"}
            if r.random() < 0.35:
                spec["colour"] = r.choice(captions.EYE_COLOURS)
            if r.random() < 0.45:
                spec["word"] = self._word(r, held, brush=r.random() < 0.9)
            return spec
        if kind == "scene":
            return {"kind": kind, "seed": seed, "scene": r.choice(list(captions.SCENES))}
        if kind == "lettering":
            spec = {"kind": kind, "seed": seed, "word": self._word(r, held, brush=r.random() < 0.4)}
            self._choose_backdrop(spec, r)
            _show_word(spec, r)
            return spec
        spec = {"kind": "one" if kind == "word" else kind, "seed": seed, "style": r.choices(list(STYLES), list(STYLES.values()))[0]}
        if kind == "word":
            spec["word"] = self._word(r, held, brush=r.random() < 0.4)
        self._choose_backdrop(spec, r)
        if kind == "word":
            _show_word(spec, r)
        count = {"beside": 2, "above": 2, "sizes": 2, "three": 3}.get(kind, 1)
        spec["items"] = [self.item(c, r) for c in r.sample(self.concepts, count)]
        if kind == "count":
            spec["n"] = r.choice([2, 2, 3, 3, 4, 5])
        return spec

    def _choose_backdrop(self, spec: dict, r: random.Random) -> None:
        place = r.random()
        if place < 0.34:
            spec["scene"] = r.choice(list(captions.SCENES))
        elif place < 0.68:
            spec["back"] = r.choice(list(captions.COLOURS))

    def item(self, concept: dict, r: random.Random, paint: str | None = None) -> dict:
        item = {"label": concept["label"], "names": concept["names"]}
        if paint or (concept["paintable"] and r.random() < 0.25):
            item["paint"] = paint or r.choice(captions.PAINTS)
        return item

    def _word(self, r: random.Random, held: bool, brush: bool) -> dict:
        text = r.choice(captions.WORDS_HELD) if held else "FLUX" if r.random() < 0.35 else r.choice(captions.WORDS)
        if not held and text != "FLUX" and r.random() < 0.65:  # letters are to be learned, not words
            text = "".join(r.choices(LETTERS, captions.LETTER_SHARES, k=r.choice([2, 3, 3, 4, 4, 4, 5, 6])))
        return {"text": text, "colour": "white" if r.random() < 0.6 else r.choice(["black", "red", "yellow", "blue", "pink"]), "brush": brush}

    def paint(self, spec: dict, grid: tuple[int, int], scale: int = 1, free: bool = False) -> np.ndarray:
        """RGB bytes [rows*16*scale, columns*16*scale, 3] of a specification. The same specification gives the same picture.
        `free` moves and sizes the objects at random; without it they keep to the cells (see `_places`)."""
        return self.paint_with_objects(spec, grid, scale, free)[0]

    def paint_with_objects(self, spec: dict, grid: tuple[int, int], scale: int = 1, free: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The picture, and how much of each cell objects and letters cover: bytes [rows, columns]."""
        r = random.Random(spec["seed"])
        w, h = grid[0] * CELL * scale, grid[1] * CELL * scale
        covered = Image.new("L", (w, h), 90 if spec["kind"] == "eye" else 0)
        if spec["kind"] == "eye":
            picture = Image.fromarray(eye(spec["animal"], spec.get("colour"), w, h, np.random.default_rng(spec["seed"])))
        else:
            picture = self._backdrop(spec, grid, w, h, r)
            for item, x, y, size in self._places(spec, grid, r, free):
                k = CELL * scale
                self._put(picture, covered, item, spec["style"], x * k, y * k, size * k)
        if spec.get("word"):
            letters = self._write(picture, spec["word"], np.random.default_rng(spec["seed"] + 1), grid)
            covered = ImageChops.lighter(covered, letters)
        return np.asarray(picture), np.asarray(covered.resize(grid, Image.BOX))

    def _backdrop(self, spec: dict, grid: tuple[int, int], w: int, h: int, r: random.Random) -> Image.Image:
        if spec.get("scene"):
            view = r.choice(self.scenes[(grid, spec["scene"])])
            picture = Image.fromarray(np.ascontiguousarray(view))
            return picture.resize((w, h), Image.BOX if w <= picture.width else Image.BICUBIC)
        if spec.get("back"):
            return Image.new("RGB", (w, h), captions.COLOURS[spec["back"]])
        if r.random() < 0.6:
            return Image.new("RGB", (w, h), (255, 255, 255))
        tint = np.array(captions.COLOURS[r.choice(captions.PAINTS[:8])], np.float32)
        ends = [tint * k + 255 * (1 - k) for k in (0.12, 0.30)]
        rows = np.linspace(0, 1, h)[:, None]
        return Image.fromarray(np.repeat((ends[0] * (1 - rows) + ends[1] * rows)[:, None], w, 1).astype(np.uint8))

    def _places(self, spec: dict, grid: tuple[int, int], r: random.Random, free: bool) -> list[tuple[dict, float, float, float]]:
        """Objects with centre and size in cells."""
        items, (columns, rows) = spec.get("items", []), grid
        if free and spec["kind"] == "one":
            size = r.uniform(0.6, 0.9) * min(grid)
            return [(items[0], columns / 2 + r.uniform(-0.3, 0.3) * (columns - size), rows / 2 + r.uniform(-0.3, 0.3) * (rows - size), size)]
        found = places(spec["kind"], spec.get("n", len(items)), grid)
        return [(item, columns / 2 + x, rows / 2 + y, size) for item, (x, y, size) in zip(items * len(found) if len(items) == 1 else items, found)]

    def _put(self, picture: Image.Image, covered: Image.Image, item: dict, style: str, x: float, y: float, size: float) -> None:
        sprites = self.by_label[item["label"]]["sprites"]
        sprite = sprites.get(style) or sprites["flat"]
        recolour = tint if style == "line" else repaint
        n = max(4, round(size))
        sprite = sprite.resize((n, n), Image.BILINEAR, reducing_gap=2.0)
        if item.get("paint"):
            sprite = recolour(sprite, captions.COLOURS[item["paint"]])
        spot = (round(x - n / 2), round(y - n / 2))
        picture.paste(sprite, spot, sprite)
        covered.paste(255, (*spot, spot[0] + n, spot[1] + n), sprite)

    def _write(self, picture: Image.Image, word: dict, rng: np.random.Generator, grid: tuple[int, int]) -> Image.Image:
        """Letters stand on the cells like objects do, each in columns of its own; only words too long for the grid are squeezed.
        Returns what they cover."""
        w, h = picture.size
        text, brush = word["text"], word["brush"]
        k = 3
        cell = w / grid[0] * k
        wide = min(2 if len(text) <= SHORT_WORD else 1, grid[0] / len(text))
        left = grid[0] / 2 - wide * len(text) / 2
        left = math.floor(left) if wide == int(wide) else left
        tall = min(2.2, wide * 1.5)
        base = grid[1] / 2 + (tall / 2 if brush else 1.5 + tall / 2)
        font = self._font(brush, round(tall * cell / (0.76 if brush else 0.70)))
        ink_mask, edge_mask = Image.new("L", (w * k, h * k), 0), Image.new("L", (w * k, h * k), 0)
        thick = max(1, round(tall * cell * (0.02 if brush else 0.045)))
        for i, letter in enumerate(text):
            for mask, stroke in ((ink_mask, thick if brush else 0), (edge_mask, thick)):
                box = font.getbbox(letter, stroke_width=stroke, anchor="ls")
                glyph = Image.new("L", (box[2] - box[0], box[3] - box[1]), 0)
                ImageDraw.Draw(glyph).text((-box[0], -box[1]), letter, font=font, fill=255, stroke_width=stroke, stroke_fill=255, anchor="ls")
                most = round((wide * 0.97 + (0.03 if mask is edge_mask else 0)) * cell)
                if glyph.width > most:
                    glyph = glyph.resize((most, glyph.height), Image.BILINEAR)
                x = round((left + (i + 0.5) * wide) * cell - glyph.width / 2)
                mask.paste(255, (x, round(base * cell) + box[1]), glyph)
        covered = edge_mask.resize((w, h), Image.BOX).point(lambda ink: min(255, 2 * ink))
        a = np.asarray(ink_mask, np.float32) / 255
        base_picture = np.asarray(picture, np.float32)
        if brush:  # bristles: long streaks along the stroke thin the paint
            a = a * np.clip((_noise(rng, h * k, w * k, 4, 60) - 0.2) * 6, 0.6, 1)
        else:
            edge = np.asarray(edge_mask.resize((w, h), Image.BOX), np.float32)[..., None] / 255
            dark = np.array((20, 20, 24) if word["colour"] != "black" else (255, 255, 255), np.float32)
            base_picture = base_picture * (1 - edge) + dark * edge
        a = np.asarray(Image.fromarray((a * 255).astype(np.uint8)).resize((w, h), Image.BOX), np.float32)[..., None] / 255
        ink = np.array(captions.COLOURS[word["colour"]], np.float32)
        picture.paste(Image.fromarray((base_picture * (1 - a) + ink * a).clip(0, 255).astype(np.uint8)))
        return covered

    def _font(self, brush: bool, size: int) -> ImageFont.FreeTypeFont:
        if (brush, size) not in self._loaded_fonts:
            self._loaded_fonts[(brush, size)] = ImageFont.truetype(self.fonts[brush], size)
        return self._loaded_fonts[(brush, size)]


def _show_word(spec: dict, r: random.Random) -> None:
    """Gives a word that has the colour of its background another background."""
    if "scene" not in spec and spec.get("back", "white") == spec["word"]["colour"]:
        spec["back"] = r.choice([colour for colour in captions.COLOURS if colour != spec["word"]["colour"]])


def _colourful(rgba: np.ndarray) -> float:
    a = rgba[::4, ::4].astype(np.float32)
    solid = a[..., 3] > 128
    high, low = a[..., :3].max(-1), a[..., :3].min(-1)
    return float((((high - low) / (high + 1e-6) > 0.35) & solid).sum() / max(1, solid.sum()))


def repaint(sprite: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Gives the coloured parts of a sprite another colour and keeps its shading; whites, greys and blacks stay."""
    a = np.asarray(sprite).astype(np.float32) / 255
    high, low = a[..., :3].max(-1), a[..., :3].min(-1)
    weight = np.clip(((high - low) / (high + 1e-6) - 0.18) / 0.2, 0, 1)
    light = a[..., :3] @ np.array([0.3, 0.55, 0.15], np.float32)
    solid = weight * a[..., 3]
    k = np.clip(light / ((light * solid).sum() / (solid.sum() + 1e-6) + 1e-3), 0.25, 1.7)[..., None]
    base = np.array(colour, np.float32) / 255
    tint = np.where(k < 1, base * k, base + (1 - base) * np.clip(k - 1, 0, 0.7))
    rgb = a[..., :3] * (1 - weight[..., None]) + tint * weight[..., None]
    return Image.fromarray((np.concatenate([rgb, a[..., 3:]], -1) * 255).clip(0, 255).astype(np.uint8), "RGBA")


def tint(sprite: Image.Image, colour: tuple[int, int, int]) -> Image.Image:
    """Draws the lines of a line drawing in another ink."""
    a = np.asarray(sprite).astype(np.float32)
    paper = a[..., :3].mean(-1, keepdims=True) / 255
    rgb = paper * 255 + (1 - paper) * np.array(colour, np.float32)
    return Image.fromarray(np.concatenate([rgb, a[..., 3:]], -1).clip(0, 255).astype(np.uint8), "RGBA")


def _noise(rng: np.random.Generator, h: int, w: int, across: int, down: int, octaves: int = 4, fall: float = 0.6) -> np.ndarray:
    """Smooth noise in 0..1 with the given number of cells across and down."""
    total, weight, amplitude = np.zeros((h, w), np.float32), 0.0, 1.0
    for octave in range(octaves):
        cells = rng.random((max(2, down << octave), max(2, across << octave)), dtype=np.float32)
        total += amplitude * np.asarray(Image.fromarray(cells).resize((w, h), Image.BICUBIC))
        weight += amplitude
        amplitude *= fall
    return total / weight


# iris (hue, saturation, value), pupil, fur, second fur colour
_EYES = {
    "tiger": ((34, 0.85, 0.98), "round", (238, 146, 48), (34, 22, 15)),
    "cat": ((88, 0.65, 0.85), "slit", (152, 142, 132), (64, 58, 52)),
    "wolf": ((46, 0.8, 0.95), "round", (124, 120, 120), (44, 44, 48)),
    "owl": ((48, 0.95, 1.0), "round", (172, 132, 84), (74, 54, 34)),
    "dragon": ((14, 0.95, 0.95), "slit", (58, 116, 64), (22, 52, 28)),
    "human": ((208, 0.5, 0.75), "round", (232, 190, 160), (172, 112, 88)),
    "lion": ((38, 0.85, 0.85), "round", (216, 168, 98), (122, 84, 44)),
    "snake": ((62, 0.85, 0.9), "slit", (112, 142, 62), (52, 72, 34)),
}
_HUES = {"blue": 208, "green": 112, "orange": 28, "yellow": 50, "purple": 278, "red": 2, "brown": 24}


def eye(animal: str, colour: str | None, w: int, h: int, rng: np.random.Generator) -> np.ndarray:
    """A close-up of one eye: iris with radial fibres, pupil, lids, and fur, scales or skin around it."""
    (hue, saturation, value), pupil, fur, dark = _EYES[animal]
    if colour:
        hue, saturation, value = _HUES[colour], (0.6 if colour == "brown" else 0.85), (0.5 if colour == "brown" else 0.92)
    m = min(w, h)
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    x, y = (x - w / 2) / m - rng.uniform(-0.02, 0.02), (y - h / 2) / m - rng.uniform(-0.02, 0.02)
    radius = rng.uniform(0.28, 0.33)
    distance, angle = np.hypot(x, y), np.arctan2(y, x)
    ring = distance / radius
    skin = np.array(fur, np.float32) * (0.8 + 0.4 * _noise(rng, h, w, 5, 5, 5))[..., None]
    if animal in ("dragon", "snake"):
        scales = np.maximum(np.cos((x + y) * 58), np.cos((x - y) * 58))
        skin *= (0.68 + 0.4 * np.clip(scales, 0, 1))[..., None]
    elif animal != "human":
        hairs = _noise(rng, h, w, 40, 6, 3)
        skin *= (0.7 + 0.6 * hairs)[..., None]
    if animal == "tiger":
        warp = _noise(rng, h, w, 3, 3, 3)
        wave = np.sin(np.hypot(x, y * 1.7) * rng.uniform(27, 30) + warp * 8 + np.abs(x) * 6)
        stripe = np.clip((wave - 0.4) * 5, 0, 1)[..., None]
        pale = np.clip((y - 0.3) * 8 + warp - 0.3, 0, 1)[..., None]
        skin = skin * (1 - pale) + np.array((238, 228, 210), np.float32) * pale
        skin = skin * (1 - stripe) + np.array(dark, np.float32) * stripe
    fibres = np.interp((angle / np.pi + 1) / 2 * 160, np.arange(161), np.append(rng.random(160), 0.5))
    bright = value * (0.55 + 0.4 * fibres * np.clip(ring * 1.3, 0, 1) + 0.25 * (1 - np.abs(ring - 0.55) * 2))
    bright = np.clip(bright, 0, 1) * (np.clip((1.02 - ring) * 6, 0, 1) * 0.8 + 0.2)
    tone = (hue / 360 + (0.05 * (0.6 - ring) if not colour else 0)) % 1
    channel = np.clip(np.abs((np.asarray(tone)[..., None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    iris = 255 * bright[..., None] * (1 - saturation * (1 - channel))
    hole = ring - 0.38 if pupil == "round" else np.hypot(x * 5.5, y * 1.05) / radius - 0.8
    iris *= np.clip(hole * 14, 0, 1)[..., None]
    opening = rng.uniform(0.72, 0.88) if animal != "owl" else 1.25
    lid = np.abs(y + 0.015) - radius * opening * np.clip(1 - (np.abs(x) / (radius * 1.7)) ** 2, 0, 1) ** 0.8
    inside = np.clip(-lid * m * 0.5, 0, 1)[..., None]
    white = np.array((226, 216, 206) if animal == "human" else (58, 48, 40), np.float32)
    blend = np.clip((1 - ring) * m * 0.25, 0, 1)[..., None]
    ball = (iris * blend + white * (1 - blend)) * np.clip(0.5 + (y + 0.3) * 1.8, 0.5, 1)[..., None]
    rim = np.clip(1 - np.abs(lid) * 16, 0, 1)[..., None]
    skin = skin * (1 - 0.85 * rim) + np.array((20, 14, 12), np.float32) * 0.85 * rim
    picture = skin * (1 - inside) + ball * inside
    shine = np.clip(1 - np.hypot((x + radius * 0.34) / (radius * 0.22), (y + radius * 0.4) / (radius * 0.18)), 0, 1)[..., None] ** 0.5 * inside
    picture = picture * (1 - shine) + 255 * shine
    picture *= np.clip(1.12 - distance * 0.55, 0.45, 1)[..., None]
    return picture.clip(0, 255).astype(np.uint8)


