import { isSafetyTolerance, type SafetyTolerance } from "@sluice/runtime/safety";
import type { Order } from "./answer-order.ts";
import type { FluxInput } from "./schemas/flux.ts";
import type { FluxProInput, FluxProV11Input } from "./schemas/flux-pro.ts";

/** What a checked input of `fal-ai/flux-pro` asks for. */
export function readFluxPro(input: FluxProInput): Order {
  return {
    prompt: input.prompt,
    imageSize: input.image_size,
    steps: input.num_inference_steps,
    guidance: input.guidance_scale,
    seed: input.seed,
    count: input.num_images,
    tolerance: parseTolerance(input.safety_tolerance),
    format: input.output_format === "png" ? "png" : "jpeg",
    inline: input.sync_mode ?? false,
  };
}

/** The same of `fal-ai/flux-pro/v1.1`. */
export function readFluxProV11(input: FluxProV11Input): Order {
  return {
    prompt: input.prompt,
    imageSize: input.image_size,
    steps: undefined,
    guidance: undefined,
    seed: input.seed,
    count: input.num_images,
    tolerance: parseTolerance(input.safety_tolerance),
    format: input.output_format,
    inline: input.sync_mode ?? false,
  };
}

/** The same of `fal-ai/flux/dev` and its relatives. */
export function readFlux(input: FluxInput): Order {
  return {
    prompt: input.prompt,
    imageSize: input.image_size,
    steps: input.num_inference_steps,
    guidance: input.guidance_scale,
    seed: input.seed,
    count: input.num_images,
    tolerance: input.enable_safety_checker ? 2 : 6,
    format: input.output_format,
    inline: input.sync_mode ?? false,
  };
}

function parseTolerance(value: string): SafetyTolerance {
  const number = Number(value);
  return isSafetyTolerance(number) ? number : 2;
}
