import { type Engine, EngineError, type EngineJob } from "@sluice/runtime/engines";
import { encodeImage, type ImageFormat } from "@sluice/runtime/images";
import { createArtifact, createModelError, type RunContext } from "@sluice/runtime/model";
import type { SafetyTolerance } from "@sluice/runtime/safety";
import { createImage } from "./picture-output.ts";
import { createBlack, createSafetyCheck, type SafetyState } from "./safety-check.ts";
import { type ImageSizeInput, resolveImageSize } from "./schemas/image-size.ts";
import type { TextToImageOutput } from "./schemas/text-to-image.ts";

/** What an endpoint that draws needs from its `setup`. */
export interface DrawingState extends SafetyState {
  readonly engine: Engine;
}

/** What the schemas of the FLUX family have in common, once read. */
export interface Order {
  readonly prompt: string;
  readonly negativePrompt?: string;
  readonly imageSize: ImageSizeInput;
  readonly steps: number | undefined;
  readonly guidance: number | undefined;
  readonly seed: number | undefined;
  readonly count: number;
  readonly tolerance: SafetyTolerance;
  readonly format: ImageFormat;
  readonly inline: boolean;
  /** A picture to start from. */
  readonly init?: EngineJob["init"];
}

const SEEDS = 2 ** 32;

/**
 * Answers an order: judges the prompt, draws, judges the pictures, encodes them.
 * @throws ModelError for what the caller should change
 */
export async function answerOrder(
  order: Order,
  context: RunContext<DrawingState>,
): Promise<TextToImageOutput> {
  const { engine } = context.state;
  const size = resolveImageSize(order.imageSize);
  const seed = order.seed ?? context.seed;
  const seeds = Array.from({ length: order.count }, (_, i) => wrapSeed(seed + i));
  const safety = createSafetyCheck(context.state, order.tolerance, context.log);
  const isRefused = safety.checkPrompt(order.prompt);

  const { pictures, timings } =
    isRefused && safety.action === "blank"
      ? { pictures: seeds.map(() => createBlack(size)), timings: { inference: 0 } }
      : await generate(engine, order, { size, seeds }, context);

  const images = [];
  const flags: boolean[] = [];
  for (const made of pictures) {
    context.signal.throwIfAborted();
    const { picture, isFlagged } = isRefused
      ? { picture: made, isFlagged: true }
      : await safety.checkPicture(made);
    const madeBy = `Sluice (${engine.info.name}@${engine.info.version})`;
    images.push(await createImage(picture, { format: order.format, madeBy, inline: order.inline }));
    flags.push(isFlagged);
  }
  return { images, timings, seed, has_nsfw_concepts: flags, prompt: order.prompt };
}

async function generate(
  engine: Engine,
  order: Order,
  { size, seeds }: { size: { readonly width: number; readonly height: number }; seeds: readonly number[] },
  context: RunContext<DrawingState>,
): ReturnType<Engine["generate"]> {
  const { limits } = engine.info;
  const sending: Promise<void>[] = [];
  const job: EngineJob = {
    prompt: order.prompt,
    ...(order.negativePrompt === undefined ? {} : { negativePrompt: order.negativePrompt }),
    ...size,
    steps: clamp("num_inference_steps", order.steps, limits.steps, context.log),
    guidance:
      limits.guidance === undefined
        ? 1
        : clamp("guidance_scale", order.guidance, limits.guidance, context.log),
    seeds,
    ...(order.init === undefined ? {} : { init: order.init }),
    // Asked at every step: listeners come and go.
    get wantsPreviews() {
      return context.wantsPreviews;
    },
  };
  const sink: Parameters<Engine["generate"]>[1] = {
    log: context.log,
    progress: context.progress,
    preview: ({ image, step, picture }) => {
      sending.push(
        encodeImage(picture, { format: "jpeg" }).then(({ bytes, contentType }) => {
          const { width, height } = picture;
          context.preview({ artifact: createArtifact({ bytes, contentType, width, height }), image, step });
        }),
      );
    },
  };
  try {
    return await engine.generate(job, sink, context.signal);
  } catch (cause) {
    throw translateError(cause);
  } finally {
    // A preview that cannot be encoded is no reason to lose the picture.
    await Promise.allSettled(sending);
  }
}

/** What an engine refuses in a request is for the caller to change; everything else stays as it is. */
function translateError(cause: unknown): unknown {
  if (!(cause instanceof EngineError) || cause.kind !== "invalid_input") return cause;
  return createModelError("value_error", ["body"], { msg: cause.message, cause });
}

/** The value within the model's limits; one inside the schema but outside the model is moved and logged. */
function clamp(
  field: string,
  value: number | undefined,
  limits: { readonly min: number; readonly max: number; readonly default: number },
  log: RunContext["log"],
): number {
  if (value === undefined) return limits.default;
  const used = Math.min(limits.max, Math.max(limits.min, value));
  if (used !== value)
    log(`${field} ${value} is outside this model's ${limits.min} to ${limits.max}; ${used} is used`);
  return used;
}

/** Only the low 32 bits of a seed count; negative ones wrap around. */
function wrapSeed(seed: number): number {
  return ((seed % SEEDS) + SEEDS) % SEEDS;
}
