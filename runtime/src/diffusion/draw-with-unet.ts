import type { Size } from "../images/fit-picture.ts";
import type { Feeds, Graph } from "../sessions/graph.ts";
import { denoiseScheduled } from "./denoise.ts";
import { combineRows } from "./guide.ts";
import { countLatents } from "./latent-layout.ts";
import type { DrawLatents } from "./pipeline.ts";
import { createSchedulerRun, type SchedulerConfig } from "./schedulers/create-scheduler.ts";
import { createTimestepCond } from "./unet.ts";
import type { Vae } from "./vae.ts";

export interface UnetDrawOptions {
  readonly unet: Graph;
  readonly vae: Vae;
  readonly config: SchedulerConfig;
  readonly guidance: number;
  /** What the UNet is told of the prompt besides latents and time; with guidance what is not wanted comes first. */
  readonly prompts: readonly ((size: Size) => Feeds)[];
}

/** drawNoise → takeTimesteps → denoise, as the families with a UNet do it. */
export function drawWithUnet({ unet, vae, config, guidance, prompts }: UnetDrawOptions): DrawLatents {
  return async ({ size, steps, noise, init, signal, onStep }) => {
    const shape = { channels: vae.channels, height: size.height / 8, width: size.width / 8 };
    const dims = [1, shape.channels, shape.height, shape.width];
    const clean = init && (await vae.encode(init.planes, noise)).data;
    const drawn = noise.draw(countLatents(shape));
    const run = createSchedulerRun(config, { steps, noise, ...(init && { strength: init.strength }) });
    const data = clean
      ? run.addNoise(clean, drawn)
      : drawn.map((value) => value * run.scheduler.initialScale);
    const told = prompts.map((tell) => ({ ...tell(size), timestep_cond: createTimestepCond(guidance) }));
    return denoiseScheduled({
      run,
      latents: { data, ...shape },
      signal,
      onStep,
      async predict(sample, timestep) {
        const answers = await unet.runRows(
          told.map((feeds) => ({
            ...feeds,
            sample: { data: sample, dims },
            timestep: { data: [timestep], dims: [1], isShared: true },
          })),
        );
        const predictions = answers.map((answer) => answer("out_sample").data);
        return combineRows(predictions, guidance);
      },
    });
  };
}
