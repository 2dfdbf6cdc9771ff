import { EngineError } from "../../engines/engine.ts";
import type { JsonObject } from "../../weights/engine-overrides.ts";
import { type FlowShift, getResolutionMu } from "./flow-match.ts";

/** How a flow model's `scheduler_config.json` moves its noise levels, for a number of image tokens. */
export type ShiftOfTokens = (tokens: number) => FlowShift;

/**
 * Reads the configuration of FlowMatchEulerDiscreteScheduler.
 * @throws EngineError for another scheduler, or an option that is not supported
 */
export function readFlowShift(config: JsonObject, path: string): ShiftOfTokens {
  const name = config["_class_name"];
  if (name !== undefined && name !== "FlowMatchEulerDiscreteScheduler")
    throw refuse(
      path,
      `${String(name)} is not a scheduler for this family, FlowMatchEulerDiscreteScheduler is`,
    );
  for (const field of REFUSED)
    if (config[field] !== undefined && config[field] !== null && config[field] !== false)
      throw refuse(path, `"${field}" is not supported`);
  const number = (field: string, normal: number) => Number(config[field] ?? normal);
  if (config["use_dynamic_shifting"] !== true) {
    const shift = number("shift", 1);
    return () => ({ kind: "static", shift });
  }
  const range = {
    baseShift: number("base_shift", 0.5),
    maxShift: number("max_shift", 1.15),
    baseTokens: number("base_image_seq_len", 256),
    maxTokens: number("max_image_seq_len", 4096),
  };
  const kind = config["time_shift_type"] === "linear" ? "linear" : "exponential";
  return (tokens) => ({ kind, mu: getResolutionMu(tokens, range) });
}

const REFUSED = [
  "shift_terminal",
  "invert_sigmas",
  "stochastic_sampling",
  "use_karras_sigmas",
  "use_exponential_sigmas",
  "use_beta_sigmas",
];

function refuse(path: string, problem: string): EngineError {
  return new EngineError(
    "failed",
    `The scheduler of ${path} cannot be used: ${problem}. Correct "scheduler" in ${path}/engine.json.`,
  );
}
