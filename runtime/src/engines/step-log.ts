import type { EngineSink } from "./engine.ts";

const LOG_EVERY_MS = 250;

/**
 * Logs finished steps, not more often than somebody can read, and always the last.
 * @returns a function that takes the step and gives back the time
 */
export function createStepLog(options: {
  readonly images: number;
  readonly image: number;
  readonly sink: EngineSink;
  readonly now: () => number;
}): (step: number, steps: number) => number {
  const { images, image, sink, now } = options;
  const prefix = images > 1 ? `image ${image + 1}/${images}, ` : "";
  let loggedAt = Number.NEGATIVE_INFINITY;
  return (step, steps) => {
    const at = now();
    if (step === steps || at - loggedAt >= LOG_EVERY_MS) {
      loggedAt = at;
      sink.log(`${prefix}step ${step}/${steps}`);
    }
    return at;
  };
}
