// Renders everything the training composes pictures from into flat files that Python maps into memory.
//   node pack-pictures.mjs <work folder> [node_modules folder]
// Writes to <work>/pack: sprites.bin (RGBA, 256 px, trimmed and centred) with sprites.json, and scenes.bin (RGB, twice the
// native size of every grid) with scenes.json.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const [work, modules = path.resolve("node_modules")] = process.argv.slice(2);
const require = createRequire(path.join(path.resolve(modules), "x.js"));
const sharp = require("sharp");
sharp.concurrency(1);

const SPRITE = 256;
/** Grids in latent cells of 16 pixels; the same list stands in tiny/shapes.py. */
const GRIDS = [
  [8, 8],
  [8, 6],
  [6, 8],
  [10, 6],
  [6, 10],
];
const CELL = 16;
const SCENE_VARIANTS = 8;

const out = path.join(work, "pack");
fs.mkdirSync(out, { recursive: true });
async function packSprites() {
  const findEmoji = openEmoji();
  const bin = fs.openSync(path.join(out, "sprites.bin"), "w");
  const items = [];
  for (const concept of readConcepts()) {
    const [set, icon] = concept.label.split("/");
    const sources = icon === undefined ? findEmoji(concept.label) : ICON_SETS[set](icon);
    for (const [style, source] of Object.entries(sources)) {
      if (!source) throw new Error(`no ${style} picture of ${concept.label}`);
      fs.writeSync(bin, await centred(source));
      items.push({ ...concept, style });
    }
  }
  fs.writeFileSync(path.join(out, "sprites.json"), JSON.stringify({ size: SPRITE, items }));
  console.log(`${items.length} sprites`);
}

/** Gives the pictures of an emoji by its label: by style the path of a file or an SVG document. */
function openEmoji() {
  const emoji = new Map(require("emojibase-data/en/data.json").map((e) => [e.label.toLowerCase(), e]));
  const flat = require("@iconify-json/fluent-emoji-flat/icons.json");
  const flatNames = new Map(
    Object.entries(require("@iconify-json/fluent-emoji-flat/chars.json")).map(([hex, name]) => [
      plainHex(hex),
      name,
    ]),
  );
  const folder = path.join(path.dirname(require.resolve("@lobehub/fluent-emoji-3d/package.json")), "assets");
  const files = new Map(
    fs.readdirSync(folder).map((f) => [plainHex(f.replace(".webp", "")), path.join(folder, f)]),
  );
  return (label) => {
    const entry = emoji.get(label.toLowerCase());
    if (!entry) throw new Error(`no emoji is called "${label}"`);
    const hex = plainHex(entry.hexcode);
    const name = flatNames.get(hex);
    return { "3d": files.get(hex), flat: svgOf(flat, name), line: svgOf(flat, name, asLines) };
  };
}

function plainHex(hex) {
  return hex.toLowerCase().replace(/-fe0f/g, "");
}

function readConcepts() {
  let stage = 0;
  const concepts = [];
  for (const line of fs.readFileSync(new URL("concepts.txt", import.meta.url), "utf8").split("\n")) {
    const text = line.trim();
    if (text === "" || text.startsWith("#")) continue;
    const header = /^\[stage (\d+)\]$/.exec(text);
    if (header) {
      stage = Number(header[1]);
      continue;
    }
    const [label, names] = text.split("|").map((s) => s.trim());
    concepts.push({ label, names: names.split(",").map((s) => s.trim()), stage });
  }
  return concepts;
}

/** Pixels of the longer side of an SVG picture before its empty borders are cut off. */
const DRAWN = 512;
/** Room around a picture for its outline, as a share of its longer side. */
const MARGIN = 0.03;

/** `change` gets the body and the length of the longer side. */
function svgOf(set, name, change = (body) => body) {
  const alias = set.aliases?.[name];
  const icon = set.icons[name] ?? (alias && { ...set.icons[alias.parent], ...alias });
  if (!icon) return undefined;
  const width = icon.width ?? set.width ?? 16;
  const height = icon.height ?? set.height ?? 16;
  const side = Math.max(width, height);
  const margin = side * MARGIN;
  const box = [(icon.left ?? 0) - margin, (icon.top ?? 0) - margin, width + 2 * margin, height + 2 * margin];
  const size = `width="${(width / side) * DRAWN}" height="${(height / side) * DRAWN}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="${box.join(" ")}" ${size}>${change(icon.body, side)}</svg>`;
}

/** Width of lines, as a share of a picture's longer side. */
const LINE = 0.028;
const INK = "#181818";

/** A line drawing of a flat picture: its areas white with an outline, what is nearly black filled with ink. */
function asLines(flat, side) {
  const fill = (whole, colour) => {
    if (colour === "none") return whole;
    return isDark(colour) ? `fill="${INK}"` : 'fill="white"';
  };
  const body = flat.replaceAll(/fill="([^"]*)"/g, fill).replaceAll(/ stroke(-[a-z]+)?="[^"]*"/g, "");
  return outlined(body, INK, side * LINE);
}

function outlined(body, colour, width) {
  const pen = `stroke="${colour}" stroke-width="${width}" stroke-linejoin="round" stroke-linecap="round"`;
  return `<g ${pen}>${body}</g>`;
}

/** Icons have no 3-D picture. Silhouettes get a white rim, so that they stand out from any background. */
const SILHOUETTE = "#3d4f73";
const silhouettes = (set) => (name) => ({
  flat: svgOf(
    set,
    name,
    (body, side) => outlined(inked(body, "white"), "white", side * 0.05) + inked(body, SILHOUETTE),
  ),
  line: svgOf(set, name, (body, side) => outlined(inked(body, "white"), INK, side * LINE)),
});

/** The areas of Phosphor's duotone icons, which are pale in the original, are filled. */
const AREA = "#8ec5ff";
const duotone = (set) => (name) => {
  const fill = (shape, colour) =>
    shape.replace(/ fill="[^"]*"/, "").replace('opacity=".2"', `fill="${colour}"`);
  const filled = (colour) => (body) =>
    inked(body, INK).replaceAll(/<[a-z]+ [^>]*opacity="\.2"[^>]*>/g, (shape) => fill(shape, colour));
  return {
    flat: svgOf(set, `${name}-duotone`, filled(AREA)),
    line: svgOf(set, `${name}-duotone`, filled("white")),
  };
};

const ICON_SETS = {
  phosphor: duotone(require("@iconify-json/ph/icons.json")),
  "game-icons": silhouettes(require("@iconify-json/game-icons/icons.json")),
  pinhead: silhouettes(require("@iconify-json/pinhead/icons.json")),
};

function inked(body, colour) {
  return body.replaceAll("currentColor", colour);
}

function isDark(colour) {
  const hex = /^#([0-9a-f]{6})$/i.exec(colour)?.[1];
  if (!hex) return false;
  const [r, g, b] = [0, 2, 4].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
  return 0.3 * r + 0.55 * g + 0.15 * b < 55;
}

/** Trims empty borders and centres the picture, so that every sprite fills its square alike. */
async function centred(source) {
  const clear = { r: 0, g: 0, b: 0, alpha: 0 };
  const trimmed = await sharp(source.startsWith("<svg") ? Buffer.from(source) : source)
    .ensureAlpha()
    .trim({ background: clear, threshold: 8 })
    .png()
    .toBuffer();
  return sharp(trimmed)
    .resize(SPRITE - 4, SPRITE - 4, { fit: "contain", background: clear })
    .extend({ top: 2, bottom: 2, left: 2, right: 2, background: clear })
    .raw()
    .toBuffer();
}

async function packScenes() {
  const random = mulberry(7);
  const bin = fs.openSync(path.join(out, "scenes.bin"), "w");
  const items = [];
  let offset = 0;
  for (const [columns, rows] of GRIDS) {
    const width = columns * CELL * 2;
    const height = rows * CELL * 2;
    for (const name of Object.keys(SCENES)) {
      for (let variant = 0; variant < SCENE_VARIANTS; variant++) {
        const body = SCENES[name](width, height, random);
        const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${body}</svg>`;
        const raw = await sharp(Buffer.from(svg)).removeAlpha().raw().toBuffer();
        fs.writeSync(bin, raw);
        items.push({ name, grid: [columns, rows], offset, width, height });
        offset += raw.length;
      }
    }
  }
  fs.writeFileSync(path.join(out, "scenes.json"), JSON.stringify(items));
  console.log(`${items.length} scenes`);
}

function mulberry(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// Scenes: each function draws one kind of place as SVG for a canvas of w x h.

function between(random, low, high) {
  return low + (high - low) * random();
}

function shade([r, g, b], random, amount = 10) {
  const d = between(random, -amount, amount);
  return `rgb(${[r, g, b].map((v) => Math.round(Math.min(255, Math.max(0, v + d)))).join(",")})`;
}

let gradients = 0;
function sky(w, h, random, top, bottom, to = h) {
  const id = `g${gradients++}`;
  return `<defs><linearGradient id="${id}" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="${shade(top, random)}"/><stop offset="1" stop-color="${shade(bottom, random)}"/></linearGradient></defs><rect width="${w}" height="${to}" fill="url(#${id})"/>`;
}

function disc(x, y, r, fill, opacity = 1) {
  return `<circle cx="${x}" cy="${y}" r="${r}" fill="${fill}" opacity="${opacity}"/>`;
}

function puff(x, y, r, fill = "white") {
  return (
    disc(x - r, y, r * 0.65, fill) +
    disc(x, y - r * 0.35, r, fill) +
    disc(x + r, y, r * 0.65, fill) +
    `<rect x="${x - r * 1.6}" y="${y}" width="${r * 3.2}" height="${r * 0.65}" rx="${r * 0.3}" fill="${fill}"/>`
  );
}

function stars(w, h, random, n, to = h) {
  let body = "";
  for (let i = 0; i < n; i++)
    body += disc(
      random() * w,
      random() * to,
      between(random, 0.6, 1.6) * (Math.min(w, h) / 220),
      "#fffbe0",
      between(random, 0.6, 1),
    );
  return body;
}

function peaks(w, h, random, base, height, fill, snow) {
  let body = "";
  const count = Math.max(2, Math.round((w / h) * 2.5));
  for (let i = 0; i <= count; i++) {
    const x = (i + between(random, -0.25, 0.25)) * (w / count);
    const top = base - height * between(random, 0.6, 1);
    const half = (w / count) * between(random, 0.75, 1.05);
    body += `<polygon points="${x - half},${base} ${x},${top} ${x + half},${base}" fill="${shade(fill, random, 14)}"/>`;
    if (snow) {
      const k = 0.34;
      const y = top + (base - top) * k;
      body += `<polygon points="${x - half * k},${y} ${x},${top} ${x + half * k},${y} ${x + half * k * 0.35},${y - (base - top) * 0.07} ${x},${y + (base - top) * 0.05} ${x - half * k * 0.35},${y - (base - top) * 0.07}" fill="#f7fbff"/>`;
    }
  }
  return body;
}

function hill(w, h, random, y, swell, fill) {
  const a = between(random, -swell, swell);
  return `<path d="M0 ${y + a} Q ${w * 0.25} ${y - swell} ${w * 0.5} ${y} T ${w} ${y - a} V ${h} H 0 Z" fill="${shade(fill, random)}"/>`;
}

function place(w, h, random) {
  return {
    m: Math.min(w, h),
    horizon: h * between(random, 0.6, 0.7),
    side: random() < 0.5 ? between(random, 0.1, 0.22) * w : between(random, 0.78, 0.9) * w,
  };
}

const SCENES = {
  night(w, h, random) {
    const { m, side } = place(w, h, random);
    const moon = disc(side, h * 0.17, m * 0.075, "#fbf3c8");
    return sky(w, h, random, [12, 16, 52], [44, 52, 112]) + stars(w, h, random, 34) + moon;
  },
  space(w, h, random) {
    const { m, side } = place(w, h, random);
    const planet = disc(
      side,
      h * between(random, 0.15, 0.85),
      m * between(random, 0.06, 0.1),
      shade([200, 120, 90], random, 40),
    );
    return sky(w, h, random, [10, 7, 26], [34, 14, 62]) + stars(w, h, random, 60) + planet;
  },
  meadow(w, h, random) {
    const { m, horizon, side } = place(w, h, random);
    return (
      sky(w, h, random, [105, 185, 248], [205, 236, 255]) +
      disc(side, h * 0.15, m * 0.08, "#ffe14d") +
      puff(w - side, h * 0.17, m * 0.07) +
      hill(w, h, random, horizon - m * 0.04, m * 0.05, [120, 200, 90]) +
      hill(w, h, random, horizon + m * 0.05, m * 0.03, [84, 172, 64])
    );
  },
  beach(w, h, random) {
    const { m, horizon, side } = place(w, h, random);
    const sea = `<rect y="${horizon - m * 0.14}" width="${w}" height="${m * 0.2}" fill="${shade([38, 140, 205], random)}"/>`;
    return (
      sky(w, h, random, [110, 195, 250], [212, 240, 255]) +
      disc(side, h * 0.15, m * 0.08, "#ffe14d") +
      sea +
      hill(w, h, random, horizon, m * 0.02, [246, 222, 160])
    );
  },
  desert(w, h, random) {
    const { m, horizon, side } = place(w, h, random);
    return (
      sky(w, h, random, [255, 205, 130], [255, 236, 196]) +
      disc(side, h * 0.16, m * 0.09, "#fff2a8") +
      hill(w, h, random, horizon - m * 0.02, m * 0.06, [228, 168, 92]) +
      hill(w, h, random, horizon + m * 0.1, m * 0.05, [206, 142, 70])
    );
  },
  snow(w, h, random) {
    const { m, horizon } = place(w, h, random);
    let flakes = "";
    for (let i = 0; i < 34; i++)
      flakes += disc(random() * w, random() * h, m * between(random, 0.006, 0.012), "white");
    return (
      sky(w, h, random, [140, 180, 222], [208, 226, 244]) +
      hill(w, h, random, horizon, m * 0.04, [244, 248, 253]) +
      flakes
    );
  },
  underwater(w, h, random) {
    const { m } = place(w, h, random);
    let bubbles = "";
    for (let i = 0; i < 9; i++)
      bubbles += `<circle cx="${random() * w}" cy="${random() * h}" r="${m * between(random, 0.012, 0.03)}" fill="none" stroke="#c8ecfa" stroke-width="${m * 0.007}"/>`;
    return (
      sky(w, h, random, [64, 190, 226], [12, 62, 132]) +
      bubbles +
      hill(w, h, random, h * 0.92, m * 0.02, [196, 176, 120])
    );
  },
  sunset(w, h, random) {
    const { m, horizon } = place(w, h, random);
    const x = w * between(random, 0.4, 0.6);
    return (
      sky(w, h, random, [92, 52, 124], [255, 152, 72], horizon) +
      disc(x, horizon - m * 0.03, m * 0.15, "#ffd873") +
      hill(w, h, random, horizon, m * 0.015, [66, 40, 72])
    );
  },
  sky(w, h, random) {
    const { m } = place(w, h, random);
    let clouds = "";
    for (let i = 0; i < 4; i++)
      clouds += puff(random() * w, between(random, 0.08, 0.92) * h, m * between(random, 0.05, 0.09));
    return sky(w, h, random, [78, 166, 245], [178, 224, 255]) + clouds;
  },
  mountains(w, h, random) {
    const { m, horizon } = place(w, h, random);
    return (
      sky(w, h, random, [120, 180, 238], [222, 238, 250]) +
      peaks(w, h, random, horizon, m * 0.42, [104, 116, 146], true) +
      hill(w, h, random, horizon, m * 0.02, [96, 160, 84])
    );
  },
  "sunset mountains"(w, h, random) {
    const { m, horizon } = place(w, h, random);
    return (
      sky(w, h, random, [92, 52, 124], [255, 158, 84], horizon) +
      disc(w * between(random, 0.35, 0.65), horizon - m * 0.18, m * 0.12, "#ffd873") +
      peaks(w, h, random, horizon, m * 0.34, [92, 60, 100], false) +
      hill(w, h, random, horizon, m * 0.015, [54, 36, 62])
    );
  },
  forest(w, h, random) {
    const { m, horizon } = place(w, h, random);
    let trees = "";
    const count = Math.round((w / m) * 8);
    for (let i = 0; i <= count; i++) {
      const x = (i + between(random, -0.3, 0.3)) * (w / count);
      const top = horizon - m * between(random, 0.3, 0.48);
      const half = m * between(random, 0.07, 0.1);
      trees += `<polygon points="${x - half},${horizon + m * 0.03} ${x},${top} ${x + half},${horizon + m * 0.03}" fill="${shade([34, 100, 62], random, 16)}"/>`;
    }
    return (
      sky(w, h, random, [176, 220, 238], [226, 244, 236]) +
      trees +
      hill(w, h, random, horizon, m * 0.02, [92, 164, 76])
    );
  },
  city(w, h, random) {
    const { m, horizon } = place(w, h, random);
    let houses = "";
    let x = 0;
    while (x < w) {
      const width = m * between(random, 0.1, 0.16);
      const top = horizon - m * between(random, 0.2, 0.52);
      houses += `<rect x="${x}" y="${top}" width="${width}" height="${h - top}" fill="${shade([118, 132, 160], random, 26)}"/>`;
      for (let wy = top + m * 0.04; wy < horizon - m * 0.03; wy += m * 0.075)
        for (let wx = x + width * 0.2; wx < x + width * 0.8; wx += width * 0.36)
          houses += `<rect x="${wx}" y="${wy}" width="${width * 0.2}" height="${m * 0.035}" fill="#ffeeb0"/>`;
      x += width;
    }
    return (
      sky(w, h, random, [140, 190, 236], [228, 238, 246]) +
      houses +
      `<rect y="${horizon}" width="${w}" height="${h - horizon}" fill="${shade([96, 98, 108], random)}"/>`
    );
  },
  rain(w, h, random) {
    const { m } = place(w, h, random);
    let drops = "";
    for (let i = 0; i < 40; i++) {
      const x = random() * w;
      const y = random() * h;
      drops += `<line x1="${x}" y1="${y}" x2="${x - m * 0.015}" y2="${y + m * 0.055}" stroke="#bcd8f0" stroke-width="${m * 0.009}" stroke-linecap="round"/>`;
    }
    return (
      sky(w, h, random, [74, 88, 112], [140, 156, 176]) +
      puff(w * 0.22, h * 0.1, m * 0.11, "#5c6880") +
      puff(w * 0.72, h * 0.08, m * 0.13, "#5c6880") +
      drops
    );
  },
};

await packSprites();
await packScenes();
