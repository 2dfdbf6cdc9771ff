import type { Provider } from "../sessions/choose-provider.ts";
import type { OnnxFileFacts } from "../weights/scan-onnx-file.ts";
import { EngineError, type EngineJob } from "./engine.ts";

/**
 * Refuses a model that cannot fit: better a clear answer now than a machine that swaps, or a worker that is killed.
 * The processor computes half precision in single precision, which doubles those weights; a graphics card gets its
 * copy from here, so they have to pass through this memory too.
 * @throws EngineError `out_of_memory` with the figures
 */
export function checkMemory(
  facts: readonly OnnxFileFacts[],
  { provider, availableBytes }: { readonly provider: Provider; readonly availableBytes: number },
): void {
  const weights = facts.reduce((sum, { bytes }) => sum + bytes, 0);
  const widened = provider === "cpu" ? facts.reduce((sum, { halfBytes }) => sum + halfBytes, 0) : 0;
  const largest = Math.max(0, ...facts.map(({ bytes }) => bytes));
  const needed = provider === "cpu" ? weights + widened : largest;
  if (needed <= availableBytes) return;
  throw new EngineError(
    "out_of_memory",
    `This model's weights need about ${formatGigabytes(needed)}, and ${formatGigabytes(availableBytes)} are free. ` +
      "Use a smaller or quantised export, free memory, or raise the limit if you know better.",
  );
}

function formatGigabytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}

/** Floating-point operations per second and thread that a processor reaches on large products, roughly. */
const CPU_RATE = 80e9;

/**
 * Seconds that a job would take on the processor, roughly: two operations per weight and token, for every step,
 * picture and pass. Undefined where a graphics card computes, whose speed nobody knows here.
 */
export function estimateSeconds(options: {
  readonly provider: Provider;
  readonly threads: number;
  /** Weights of the transformer. */
  readonly parameters: number;
  readonly tokens: number;
  readonly passes: number;
  readonly job: Pick<EngineJob, "steps" | "seeds">;
}): number | undefined {
  const { provider, threads, parameters, tokens, passes, job } = options;
  if (provider !== "cpu") return undefined;
  const operations = 2 * parameters * tokens * passes * job.steps * job.seeds.length;
  return operations / (CPU_RATE * Math.max(1, threads));
}

/** @throws EngineError `invalid_input` when a job would take far longer than anyone waits */
export function checkDuration(seconds: number | undefined, limitSeconds: number): void {
  if (seconds === undefined || seconds <= limitSeconds) return;
  throw new EngineError(
    "invalid_input",
    `This request would take about ${formatDuration(seconds)} on this server's processor, more than the ${formatDuration(limitSeconds)} that it allows. ` +
      "Ask for a smaller picture, fewer steps or fewer pictures, or run the server with a graphics card.",
  );
}

function formatDuration(seconds: number): string {
  if (seconds < 120) return `${Math.ceil(seconds)} seconds`;
  if (seconds < 7200) return `${Math.ceil(seconds / 60)} minutes`;
  return `${(seconds / 3600).toFixed(1)} hours`;
}
