import { setImmediate } from "node:timers/promises";
import type { Picture } from "../engines/engine.ts";
import { fitPicture, type Size } from "../images/fit-picture.ts";
import { framePlanes } from "../images/frame-planes.ts";
import { clampPlanes, type Planes, SIGNED, toPicture } from "../images/planes.ts";
import { upscaleTiles } from "../images/upscale-tiles.ts";
import { getOutput, type Session } from "../sessions/session.ts";
import { createFloatTensor, createIdTensor, getFloats, type Tensor, takeRow } from "../sessions/tensor.ts";
import type { TinyTokenizer, TinyTokens } from "../text/tiny-tokenizer.ts";
import type { Grid, TinyConfig } from "../weights/tiny-config.ts";
import { createNoiseSource } from "./noise.ts";
import { takeFlowMatchSigmas } from "./schedulers/flow-match.ts";

/**
 * The pipeline of the tiny-flux family, in the order in which it runs:
 * encodePrompt → chooseGrid → drawNoise → takeSigmas → denoise → decodeLatents → enlarge → fitPicture.
 * The arithmetic is that of the model card, `models/tiny/README.md`.
 */
export interface TinyModel {
  readonly config: TinyConfig;
  readonly tokenizer: TinyTokenizer;
  readonly text: Session;
  readonly transformer: Session;
  readonly vae: Session | undefined;
  readonly upscaler: Session | undefined;
}

/** What the text encoder says: row 0 about the prompt, row 1 about the null caption. */
export interface TinyEmbeddings {
  readonly hidden: Tensor;
  readonly pooled: Tensor;
  readonly mask: Tensor;
}

/** Raise when the same weights and seed give other pixels than before: it is part of the model version. */
export const TINY_PIPELINE_REVISION = 3;

export async function encodePrompt(
  model: TinyModel,
  prompt: string,
): Promise<{ readonly embeddings: TinyEmbeddings; readonly tokens: TinyTokens }> {
  const { inputs, outputs } = model.config.text;
  const tokens = model.tokenizer.encode(prompt);
  const rows = model.tokenizer.pad([tokens.ids, model.tokenizer.nullIds]);
  const ids = createIdTensor(rows.flat(), [rows.length, rows[0]?.length ?? 0]);
  const answer = await model.text.run({ [inputs.ids]: ids });
  const embeddings = {
    hidden: getOutput(answer, outputs.hidden),
    pooled: getOutput(answer, outputs.pooled),
    mask: getOutput(answer, outputs.mask),
  };
  return { embeddings, tokens };
}

/** The trained grid whose ratio is nearest to the wanted one; the first on a tie. */
export function chooseGrid(grids: readonly Grid[], wanted: Size): Grid {
  const distance = (grid: Grid) =>
    Math.abs(Math.log(grid.width / grid.height) - Math.log(wanted.width / wanted.height));
  return grids.reduce((best, grid) => (distance(grid) < distance(best) ? grid : best));
}

export function drawNoise(config: TinyConfig, grid: Grid, seed: number): Float32Array {
  return createNoiseSource(seed).draw(config.latents.channels * grid.width * grid.height);
}

export function takeSigmas(config: TinyConfig, steps: number): Float32Array {
  return takeFlowMatchSigmas({ steps, shift: { kind: "static", shift: config.scheduler.shift } });
}

/** Strength of classifier-free guidance for a guidance scale as callers give it. */
export function getGuidanceWeight(config: TinyConfig, guidanceScale: number): number {
  const { offset, slope, min, max } = config.guidance;
  return Math.min(max, Math.max(min, offset + (guidanceScale - 1) * slope));
}

export interface DenoiseOptions {
  readonly embeddings: TinyEmbeddings;
  readonly grid: Grid;
  /** Starts as noise and ends as the picture's latents, in place. */
  readonly latents: Float32Array;
  readonly sigmas: Float32Array;
  readonly weight: number;
  readonly signal: AbortSignal;
  /** After each step, with its prediction of the clean latents. */
  readonly onStep: (finished: number, clean: Float32Array) => Promise<void> | void;
}

/** Walks the latents from noise to picture. The event loop turns before every step, so that a cancel is heard. */
export async function denoise(model: TinyModel, options: DenoiseOptions): Promise<void> {
  const { latents, sigmas, signal } = options;
  const { minSigma } = model.config.scheduler;
  for (let step = 0; step + 1 < sigmas.length; step++) {
    await setImmediate();
    signal.throwIfAborted();
    const sigma = sigmas[step] as number;
    const nextSigma = sigmas[step + 1] as number;
    const clean = await predictClean(model, options, sigma);
    const part = (sigma - nextSigma) / Math.max(sigma, minSigma);
    for (let i = 0; i < latents.length; i++) {
      const value = latents[i] as number;
      latents[i] = value + ((clean[i] as number) - value) * part;
    }
    await options.onStep(step + 1, clean);
  }
}

/** Latents to pixels in about -1..1, at the model's native size. */
export async function decodeLatents(model: TinyModel, latents: Float32Array, grid: Grid): Promise<Planes> {
  const { channels, cellPixels } = model.config.latents;
  const width = grid.width * cellPixels;
  const height = grid.height * cellPixels;
  const { vae } = model.config;
  if (vae === null || model.vae === undefined) return clamped({ data: latents.slice(), width, height });
  const input = createFloatTensor(latents, [1, channels, grid.height, grid.width]);
  const output = await model.vae.run({ [vae.inputs.latents]: input });
  return clamped({ data: getFloats(getOutput(output, vae.outputs.pixels)).slice(), width, height });
}

/** Brings the native picture to the wanted ratio and enlarges it until resizing does the rest, if it can. */
export async function enlarge(
  model: TinyModel,
  native: Planes,
  wanted: Size,
  signal: AbortSignal,
): Promise<Planes> {
  let planes = framePlanes(native, wanted);
  const { upscaler } = model.config;
  const session = model.upscaler;
  if (upscaler === null || session === undefined) return planes;
  const { factor, maxResize } = upscaler;
  const upscale = async ({ data, width, height }: Planes): Promise<Planes> => {
    const input = createFloatTensor(data, [1, 3, height, width]);
    const output = await session.run({ [upscaler.inputs.pixels]: input });
    const large = getFloats(getOutput(output, upscaler.outputs.pixels));
    return { data: large, width: width * factor, height: height * factor };
  };
  for (let pass = 0; pass < upscaler.passes; pass++) {
    if (planes.width * maxResize >= wanted.width && planes.height * maxResize >= wanted.height) break;
    planes = clamped(await upscaleTiles(planes, { upscale, factor, tile: TILE, overlap: OVERLAP, signal }));
  }
  return planes;
}

/** The finished picture, exactly as large as wanted, nothing stretched. */
export async function finishPicture(planes: Planes, wanted: Size): Promise<Picture> {
  return fitPicture(toPicture(planes, SIGNED), wanted);
}

/** A small picture of a step's prediction. */
export async function decodePreview(
  model: TinyModel,
  clean: Float32Array,
  grid: Grid,
  wanted: Size,
): Promise<Picture> {
  const native = await decodeLatents(model, clean, grid);
  return toPicture(framePlanes(native, wanted), SIGNED);
}

/** Tiles keep the upscaler's working memory below about 200 MB; it sees less far than the overlap. */
const TILE = 256;
const OVERLAP = 16;

async function predictClean(model: TinyModel, options: DenoiseOptions, sigma: number): Promise<Float32Array> {
  const { latents, embeddings, grid, weight } = options;
  const { inputs, outputs } = model.config.transformer;
  const [low, high] = model.config.guidance.sigmaRange;
  const isGuided = weight !== 1 && sigma >= low && sigma <= high;
  const rows = isGuided ? 2 : 1;
  const repeated = new Float32Array(rows * latents.length);
  for (let row = 0; row < rows; row++) repeated.set(latents, row * latents.length);
  const pick = (tensor: Tensor) => (isGuided ? tensor : takeRow(tensor, 0));
  const answer = await model.transformer.run({
    [inputs.latents]: createFloatTensor(repeated, [
      rows,
      model.config.latents.channels,
      grid.height,
      grid.width,
    ]),
    [inputs.time]: createFloatTensor(new Float32Array(rows).fill(1 - sigma), [rows]),
    [inputs.hidden]: pick(embeddings.hidden),
    [inputs.pooled]: pick(embeddings.pooled),
    [inputs.mask]: pick(embeddings.mask),
  });
  const prediction = getFloats(getOutput(answer, outputs.prediction));
  return isGuided ? guide(prediction, weight) : prediction;
}

/** Classifier-free guidance: from the null caption's prediction towards the prompt's, and past it. */
function guide(prediction: Float32Array, weight: number): Float32Array {
  const size = prediction.length / 2;
  const guided = new Float32Array(size);
  for (let i = 0; i < size; i++) {
    const withPrompt = prediction[i] as number;
    const without = prediction[size + i] as number;
    guided[i] = without + weight * (withPrompt - without);
  }
  return guided;
}

function clamped(planes: Planes): Planes {
  clampPlanes(planes, SIGNED);
  return planes;
}
