import { type DiffusionEngineOptions, openDiffusionEngine } from "../engines/diffusion-engine.ts";
import type { Engine, EngineJob, EngineResult, EngineSink, Picture } from "../engines/engine.ts";
import type { Family } from "../weights/families.ts";
import { createDiffusionFolder, type DiffusionFolderOptions } from "./diffusion-folder.ts";

/** One model of each kind that the built-in engine has to draw with. */
export const DIFFUSION_CASES: Readonly<Record<string, readonly [Family, DiffusionFolderOptions]>> = {
  "FLUX.1 dev": ["flux", {}],
  "FLUX.1 schnell": ["flux", { variant: "schnell" }],
  "Stable Diffusion 1.5": ["stable-diffusion", {}],
  "Stable Diffusion 2.1": [
    "stable-diffusion",
    { scheduler: createScheduler("DDIMScheduler", { prediction_type: "v_prediction", clip_sample: false }) },
  ],
  "SD-Turbo": [
    "stable-diffusion",
    { scheduler: createScheduler("EulerDiscreteScheduler", { timestep_spacing: "trailing" }) },
  ],
  LCM: ["stable-diffusion", { isToldScale: true, scheduler: createScheduler("LCMScheduler", {}) }],
  SDXL: ["sdxl", {}],
  "SDXL-Turbo": [
    "sdxl",
    { scheduler: createScheduler("EulerAncestralDiscreteScheduler", { timestep_spacing: "trailing" }) },
  ],
  "SDXL with DPM++ 2M Karras": [
    "sdxl",
    { scheduler: createScheduler("DPMSolverMultistepScheduler", { use_karras_sigmas: true }) },
  ],
  "Stable Diffusion 3": ["sd3", {}],
  "Stable Diffusion 3 without T5": ["sd3", { hasT5: false }],
  "FLUX.2-klein": ["flux2-klein", {}],
  "Z-Image-Turbo": ["z-image", {}],
};

function createScheduler(name: string, fields: Readonly<Record<string, unknown>>) {
  const betas = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear" };
  return { _class_name: name, ...betas, ...fields };
}

/** What the recorded pictures were asked for. */
export const DIFFUSION_JOB: EngineJob = {
  prompt: "a cat beside a dog",
  width: 96,
  height: 64,
  steps: 4,
  guidance: 3.5,
  seeds: [42],
  wantsPreviews: false,
};

/** An engine on a made-up folder that is deleted with it. */
export interface OpenedCase extends AsyncDisposable {
  readonly engine: Engine;
  draw(job?: Partial<EngineJob>, heard?: Heard, signal?: AbortSignal): Promise<EngineResult>;
}

/** What an engine said while it drew. */
export interface Heard {
  readonly lines: string[];
  readonly steps: string[];
  readonly previews: Picture[];
}

export function createHeard(): Heard {
  return { lines: [], steps: [], previews: [] };
}

export async function openDiffusionCase(
  family: Family,
  folderOptions: DiffusionFolderOptions = {},
  engineOptions: Partial<DiffusionEngineOptions> = {},
): Promise<OpenedCase> {
  const folder = await createDiffusionFolder(family, folderOptions);
  try {
    const options = { folder: folder.path, name: family, threads: 1, provider: "cpu", ...engineOptions };
    const engine = await openDiffusionEngine(options);
    return {
      engine,
      draw: (job = {}, heard = createHeard(), signal = AbortSignal.timeout(60_000)) =>
        engine.generate({ ...DIFFUSION_JOB, ...job }, createSink(heard), signal),
      async [Symbol.asyncDispose]() {
        await engine[Symbol.asyncDispose]();
        await folder[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    throw error;
  }
}

function createSink({ lines, steps, previews }: Heard): EngineSink {
  return {
    log: (message, level = "INFO") => lines.push(`${level} ${message}`),
    progress: ({ phase, step, steps: all, image }) =>
      steps.push(`${phase} ${step}/${all} of ${image ?? "-"}`),
    preview: ({ picture }) => previews.push(picture),
  };
}

/** The colour in the middle of each square of 16 pixels, which is all there is in a made-up picture, and less. */
export function sampleColours({ rgb, width, height }: Picture): number[] {
  const colours: number[] = [];
  for (let y = 4; y < height; y += 16)
    for (let x = 4; x < width; x += 16)
      colours.push(...rgb.subarray(3 * (y * width + x), 3 * (y * width + x) + 3));
  return colours;
}
