import type { Size } from "../images/fit-picture.ts";
import type { EngineLimits } from "./engine.ts";

/** Shortest side that diffusion models draw anything on. */
const MIN_SIDE = 64;

/**
 * The size that a model can draw: of about the wanted ratio, within its limits, and snapped down to multiples of
 * what its latents need.
 */
export function chooseSize(wanted: Size, limits: EngineLimits): Size {
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
  return { width: snap(wanted.width), height: snap(wanted.height) };
}
