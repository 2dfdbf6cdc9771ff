import type { ModelFolder } from "../weights/model-folder.ts";
import type { Components } from "./components.ts";
import { createFluxPipeline } from "./flux-pipeline.ts";
import { createFlux2KleinPipeline } from "./flux2-klein-pipeline.ts";
import type { Pipeline } from "./pipeline.ts";
import { createSd3Pipeline } from "./sd3-pipeline.ts";
import { createSdxlPipeline } from "./sdxl-pipeline.ts";
import { createStableDiffusionPipeline } from "./stable-diffusion-pipeline.ts";
import { createZImagePipeline } from "./z-image-pipeline.ts";

/** Raise when the same weights and seed give other pixels than before: it is part of every model version. */
export const PIPELINE_REVISION = 2;

/** The pipeline of a folder's family, around its loaded graphs. */
export function createPipeline(folder: ModelFolder, components: Components): Promise<Pipeline> {
  switch (folder.family) {
    case "flux":
      return createFluxPipeline(folder, components);
    case "stable-diffusion":
      return createStableDiffusionPipeline(folder, components);
    case "sdxl":
      return createSdxlPipeline(folder, components);
    case "sd3":
      return createSd3Pipeline(folder, components);
    case "flux2-klein":
      return createFlux2KleinPipeline(folder, components);
    case "z-image":
      return createZImagePipeline(folder, components);
    default:
      throw folder.family satisfies never;
  }
}
