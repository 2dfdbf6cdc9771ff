import { EngineError, type EngineJob, type EngineLimits } from "./engine.ts";

/**
 * Checks what an engine whose sizes are snapped to its model's is asked for.
 * @throws EngineError `invalid_input` that names the value and what to choose
 */
export function checkJob(job: EngineJob, limits: EngineLimits): void {
  const { width, height, steps, seeds, guidance, init } = job;
  const refuse = (message: string): EngineError => new EngineError("invalid_input", message);
  if (![width, height].every((side) => Number.isSafeInteger(side) && side >= 1))
    throw refuse(`A picture of ${width}x${height} is not one of whole pixels.`);
  if (!Number.isSafeInteger(steps) || steps < limits.steps.min || steps > limits.steps.max)
    throw refuse(`The number of steps is ${steps}; choose ${limits.steps.min} to ${limits.steps.max}.`);
  if (!Number.isFinite(guidance)) throw refuse(`The guidance scale is ${guidance}; choose a number.`);
  if (seeds.some((seed) => !Number.isSafeInteger(seed) || seed < 0))
    throw refuse(`The seeds ${seeds.join(", ")} are not all whole numbers from 0 on.`);
  if (init !== undefined && !(init.strength > 0 && init.strength <= 1))
    throw refuse(`The strength is ${init.strength}; choose a number above 0, up to 1.`);
}
