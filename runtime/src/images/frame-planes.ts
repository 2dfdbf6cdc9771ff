import type { Size } from "./fit-picture.ts";
import { copyArea, type Planes } from "./planes.ts";

/**
 * Brings a picture to another ratio without stretching it and without losing its subject: up to 15 % of a side is
 * cut off, around the centre, and what is still missing on the other side is continued from the edges, ever
 * softer with the distance. Models draw their subject in the middle, on backgrounds that go on like that.
 * @returns about the wanted ratio, rounded outwards to whole pixels
 */
export function framePlanes(source: Planes, wanted: Size): Planes {
  const ratio = wanted.width / wanted.height;
  const isWider = ratio * source.height >= source.width;
  // Everything below is said for a picture that becomes wider; a taller one is the same, turned.
  const [length, across] = isWider ? [source.width, source.height] : [source.height, source.width];
  const target = isWider ? ratio : 1 / ratio;
  const mismatch = (target * across) / length;
  const kept = Math.max(1 / mismatch, Math.min(LEAST_KEPT, MOST_EXTENDED / mismatch));
  const newAcross = Math.max(1, Math.min(across, Math.round(across * kept)));
  const newLength = Math.max(length, Math.ceil(newAcross * target));
  const size = isWider ? { width: newLength, height: newAcross } : { width: newAcross, height: newLength };
  const framed: Planes = { data: new Float32Array(3 * newLength * newAcross), ...size };

  const cut = Math.floor((across - newAcross) / 2);
  const before = Math.floor((newLength - length) / 2);
  const area = isWider
    ? { left: 0, top: cut, width: length, height: newAcross }
    : { left: cut, top: 0, width: newAcross, height: length };
  copyArea(source, area, framed, isWider ? { left: before, top: 0 } : { left: 0, top: before });
  extend(framed, isWider, before, before + length);
  return framed;
}

/** Part of a side that is kept at least, unless the ratio is so extreme that nearly all would be continuation. */
const LEAST_KEPT = 0.85;
/** The longest result, in lengths of the source. */
const MOST_EXTENDED = 6;
/** Pixels that are averaged into the colour of an edge. */
const EDGE_DEPTH = 3;
/** How fast the softness grows, in pixels per pixel of distance, and its end, as a part of the edge. */
const SOFTENING = 0.25;
const SOFTEST = 0.15;

/** Fills what lies before `start` and from `end` on, along the length, from the edges of what lies between. */
function extend(framed: Planes, isWider: boolean, start: number, end: number): void {
  const { data, width, height } = framed;
  const [length, across] = isWider ? [width, height] : [height, width];
  const depth = Math.min(EDGE_DEPTH, end - start);
  for (let c = 0; c < 3; c++) {
    const at = (along: number, position: number) =>
      c * width * height + (isWider ? position * width + along : along * width + position);
    for (const [first, step, edge, count] of [
      [start - 1, -1, start, start],
      [end, 1, end - 1, length - end],
    ] as const) {
      const sums = sumEdge(
        across,
        depth,
        (position, inside) => data[at(edge - inside * step, position)] as number,
      );
      for (let distance = 0; distance < count; distance++) {
        const radius = Math.min(Math.floor((distance + 1) * SOFTENING), Math.floor(across * SOFTEST));
        for (let position = 0; position < across; position++)
          data[at(first + distance * step, position)] = averageAround(sums, position, radius);
      }
    }
  }
}

/** Running sums of the edge's colour: entry i is the sum of the positions before i. */
function sumEdge(
  across: number,
  depth: number,
  read: (position: number, inside: number) => number,
): Float64Array {
  const sums = new Float64Array(across + 1);
  for (let position = 0; position < across; position++) {
    let colour = 0;
    for (let inside = 0; inside < depth; inside++) colour += read(position, inside) / depth;
    sums[position + 1] = (sums[position] as number) + colour;
  }
  return sums;
}

function averageAround(sums: Float64Array, position: number, radius: number): number {
  const from = Math.max(0, position - radius);
  const to = Math.min(sums.length - 1, position + radius + 1);
  return ((sums[to] as number) - (sums[from] as number)) / (to - from);
}
