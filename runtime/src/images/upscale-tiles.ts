import { setImmediate } from "node:timers/promises";
import { copyArea, cropPlanes, type Planes } from "./planes.ts";

export interface UpscaleOptions {
  /** Makes one tile larger by `factor`. */
  readonly upscale: (tile: Planes) => Promise<Planes>;
  readonly factor: number;
  /** Pictures with a side beyond this are cut into tiles of this side, so that memory stays bounded. */
  readonly tile: number;
  /** Pixels that each tile sees of its neighbours, so that no seam shows. */
  readonly overlap: number;
  readonly signal: AbortSignal;
  /** Called after each tile. */
  readonly onTile?: (done: number, tiles: number) => void;
}

/**
 * Makes a picture larger by a network, tile by tile. The event loop turns between tiles.
 * @throws the signal's reason
 */
export async function upscaleTiles(source: Planes, options: UpscaleOptions): Promise<Planes> {
  const { factor, overlap, signal } = options;
  const columns = cutSpans(source.width, options.tile, overlap);
  const rows = cutSpans(source.height, options.tile, overlap);
  const target: Planes = {
    data: new Float32Array(source.data.length * factor * factor),
    width: source.width * factor,
    height: source.height * factor,
  };
  let done = 0;
  for (const row of rows)
    for (const column of columns) {
      await setImmediate();
      signal.throwIfAborted();
      const area = { left: column.from, top: row.from, width: column.size, height: row.size };
      const large = await options.upscale(cropPlanes(source, area));
      const kept = {
        left: (column.start - column.from) * factor,
        top: (row.start - row.from) * factor,
        width: (column.end - column.start) * factor,
        height: (row.end - row.start) * factor,
      };
      copyArea(large, kept, target, { left: column.start * factor, top: row.start * factor });
      options.onTile?.(++done, rows.length * columns.length);
    }
  return target;
}

/** `start..end` is what a tile contributes; it is computed from `size` pixels beginning at `from`. */
interface Span {
  readonly start: number;
  readonly end: number;
  readonly from: number;
  readonly size: number;
}

function cutSpans(length: number, tile: number, overlap: number): Span[] {
  if (length <= tile) return [{ start: 0, end: length, from: 0, size: length }];
  const count = Math.ceil((length - 2 * overlap) / (tile - 2 * overlap));
  return Array.from({ length: count }, (_, i) => {
    const start = Math.round((length * i) / count);
    const end = Math.round((length * (i + 1)) / count);
    const from = Math.max(0, start - overlap);
    return { start, end, from, size: Math.min(length, end + overlap) - from };
  });
}
