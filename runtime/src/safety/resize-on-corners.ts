import type { Picture } from "../engines/engine.ts";

/**
 * Bilinear resize to a square whose corner pixels lie on the picture's corner pixels, as three planes in 0..1.
 * The classifier was trained on pictures that were made small in exactly this way, aliasing included; a better
 * resize would give other scores.
 */
export function resizeOnCorners({ rgb, width, height }: Picture, side: number): Float32Array {
  const planes = new Float32Array(3 * side * side);
  const columns = sample(width, side);
  sample(height, side).forEach((row, y) => {
    columns.forEach((column, x) => {
      for (let c = 0; c < 3; c++) {
        const at = (line: number, position: number) => rgb[(line * width + position) * 3 + c] as number;
        const above = mix(at(row.low, column.low), at(row.low, column.high), column.part);
        const below = mix(at(row.high, column.low), at(row.high, column.high), column.part);
        planes[(c * side + y) * side + x] = mix(above, below, row.part) / 255;
      }
    });
  });
  return planes;
}

/** Between which source positions each target position lies, and how far. */
function sample(length: number, side: number): readonly { low: number; high: number; part: number }[] {
  const scale = (length - 1) / (side - 1);
  return Array.from({ length: side }, (_, i) => {
    const low = Math.floor(i * scale);
    return { low, high: Math.min(length - 1, low + 1), part: i * scale - low };
  });
}

function mix(a: number, b: number, part: number): number {
  return a + (b - a) * part;
}
