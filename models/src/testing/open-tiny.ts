import type { Artifact, RunContext, SetupContext } from "@sluice/runtime/model";
import type { FluxProInput } from "../schemas/flux-pro.ts";
import type { TextToImageOutput } from "../schemas/text-to-image.ts";
import models from "../tiny.ts";
import { setUpModel } from "./set-up-model.ts";

const fluxPro = models[0];

type State = (typeof models)[0] extends { setup?: (context: SetupContext) => infer S | Promise<infer S> }
  ? Awaited<S>
  : never;

/** A small picture in few steps. */
export const INPUT: FluxProInput = {
  prompt: "a red apple on a white background",
  image_size: { width: 256, height: 192 },
  num_inference_steps: 4,
  guidance_scale: 3.5,
  num_images: 1,
  safety_tolerance: "2",
};

export interface OpenModel extends AsyncDisposable {
  readonly context: RunContext<State>;
  readonly lines: string[];
  readonly phases: string[];
  readonly previews: Artifact[];
  run(input: Partial<FluxProInput>, context?: Partial<RunContext<State>>): Promise<TextToImageOutput>;
}

/** `fal-ai/flux-pro` with the shipped weights in this process, and what it says while it runs. */
export async function openTiny(settings: Record<string, string> = {}): Promise<OpenModel> {
  const lines: string[] = [];
  const phases: string[] = [];
  const previews: Artifact[] = [];
  const context = await setUpModel(
    fluxPro,
    { settings },
    {
      log: (line) => void lines.push(line),
      progress: ({ phase }) => void phases.push(phase),
      preview: ({ artifact }) => void previews.push(artifact),
    },
  );
  return {
    context,
    lines,
    phases,
    previews,
    run: async (input, more = {}) => fluxPro.run({ ...INPUT, ...input }, { ...context, ...more }),
    [Symbol.asyncDispose]: async () => fluxPro.teardown?.(context.state),
  };
}
