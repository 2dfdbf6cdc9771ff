import type { Size } from "../images/fit-picture.ts";
import type { EngineLimits } from "./engine.ts";

/** Shortest side that diffusion models draw anything on. */
const MIN_SIDE = 64;

/**
 * The size that a model can draw: of about the wanted ratio, within its limits, and snapped down to multiples of
 * what its latents need.
 * @param log hears when it is another than the wanted one
 */
export function chooseSize(wanted: Size, limits: EngineLimits, log?: (message: string) => void): Size {
  const { maxSide, maxArea, multipleOf } = limits;
  const scale = Math.min(
    1,
    maxSide / wanted.width,
    maxSide / wanted.height,
    Math.sqrt(maxArea / (wanted.width * wanted.height)),
  );
  const snap = (side: number) => {
    const least = Math.ceil(MIN_SIDE / multipleOf) * multipleOf;
    // A tiny part more, so that a size that fits exactly is not lost to rounding.
    return Math.max(least, Math.floor((side * scale + 1e-6) / multipleOf) * multipleOf);
  };
  const size = { width: snap(wanted.width), height: snap(wanted.height) };
  if (size.width !== wanted.width || size.height !== wanted.height)
    log?.(
      `${wanted.width}x${wanted.height} became ${size.width}x${size.height}: sides are multiples of ${multipleOf}, within this model's limits`,
    );
  return size;
}
