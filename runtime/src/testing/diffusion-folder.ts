import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Family } from "../weights/families.ts";
import {
  type Port,
  writeDecoder,
  writeEncoder,
  writeTextEncoder,
  writeTransformer,
} from "./made-up-networks.ts";
import type { OnnxType } from "./onnx-writer.ts";
import { writeClipTokenizer, writeQwenTokenizer, writeT5Tokenizer } from "./tokenizer-folders.ts";

export interface DiffusionFolderOptions {
  /** Type of latents, states and pictures in the graphs; default float32. */
  readonly type?: "float32" | "float16";
  /** How old exports differ: ids of 32 bits, timesteps as whole numbers, position ids as floats. */
  readonly isOld?: boolean;
  /** Of FLUX.1: `dev` (default) is told the guidance scale. */
  readonly variant?: "dev" | "schnell";
  /** LCM: the UNet is told the guidance scale. */
  readonly isToldScale?: boolean;
  readonly scheduler?: Readonly<Record<string, unknown>>;
  /** Default true. */
  readonly hasEncoder?: boolean;
  readonly hasPreview?: boolean;
  readonly hasT5?: boolean;
  readonly engine?: Readonly<Record<string, unknown>>;
  /** Of FLUX.1: a step takes that many products more, each of the picture's tokens with 1,024 × 1,024 weights. */
  readonly idleProducts?: number;
}

/** A model folder in a temporary place. */
export interface DiffusionFolder extends AsyncDisposable {
  readonly path: string;
}

/** Writes a folder of a family with made-up networks under the names of real exports; deleted when disposed. */
export async function createDiffusionFolder(
  family: Family,
  options: DiffusionFolderOptions = {},
): Promise<DiffusionFolder> {
  const path = await mkdtemp(join(tmpdir(), "sluice-open-"));
  await WRITERS[family](path, options);
  if (options.engine !== undefined) await writeJson(path, "engine.json", options.engine);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

type Writer = (path: string, options: DiffusionFolderOptions) => Promise<void>;

const WRITERS: Readonly<Record<Family, Writer>> = {
  flux: writeFlux,
  "stable-diffusion": writeStableDiffusion,
  sdxl: writeSdxl,
  sd3: writeSd3,
  "flux2-klein": writeKlein,
  "z-image": writeZImage,
};

const D = 8;
const CLIP_LENGTH = 77;

async function writeFlux(path: string, options: DiffusionFolderOptions): Promise<void> {
  const { type = "float32", isOld = false, variant = "dev" } = options;
  const length = variant === "dev" ? 512 : 256;
  const places: OnnxType = isOld ? "float32" : "int64";
  const guidance: Port[] = variant === "dev" ? [{ name: "guidance", shape: ["B"] }] : [];
  await writeIndex(path, "FluxPipeline", options.scheduler ?? FLUX_SCHEDULERS[variant]);
  await writeClip(path, "text_encoder", options, ["last_hidden_state", "pooler_output"]);
  await writeFileIn(
    path,
    "text_encoder_2/model.onnx",
    writeTextEncoder({
      width: 2 * D,
      outputs: [{ name: "last_hidden_state", kind: "states" }],
      type,
      idType: getIdType(options),
      length,
    }),
  );
  await writeFileIn(
    path,
    "transformer/model.onnx",
    writeTransformer({
      main: { name: "hidden_states", shape: ["B", "N", 64] },
      others: [
        { name: "encoder_hidden_states", shape: ["B", "S", 2 * D] },
        { name: "pooled_projections", shape: ["B", D] },
        { name: "timestep", shape: ["B"] },
        { name: "img_ids", shape: isOld ? [1, "N", 3] : ["N", 3], type: places },
        { name: "txt_ids", shape: isOld ? [1, "S", 3] : ["S", 3], type: places },
        ...guidance,
      ],
      output: "out_hidden_states",
      type,
      idleProducts: options.idleProducts ?? 0,
    }),
  );
  await writeClipTokenizer(join(path, "tokenizer"));
  await writeT5Tokenizer(join(path, "tokenizer_2"));
  await writeVae(path, { channels: 16, scaling_factor: 0.3611, shift_factor: 0.1159 }, options);
}

const FLUX_SCHEDULERS = {
  dev: {
    _class_name: "FlowMatchEulerDiscreteScheduler",
    use_dynamic_shifting: true,
    shift: 3,
    base_shift: 0.5,
    max_shift: 1.15,
    base_image_seq_len: 256,
    max_image_seq_len: 4096,
  },
  schnell: { _class_name: "FlowMatchEulerDiscreteScheduler", use_dynamic_shifting: false, shift: 1 },
};

const SD_BETAS = { beta_start: 0.00085, beta_end: 0.012, beta_schedule: "scaled_linear" };

async function writeStableDiffusion(path: string, options: DiffusionFolderOptions): Promise<void> {
  const scheduler = options.scheduler ?? {
    _class_name: "PNDMScheduler",
    ...SD_BETAS,
    skip_prk_steps: true,
    steps_offset: 1,
    set_alpha_to_one: false,
  };
  await writeIndex(path, "StableDiffusionPipeline", scheduler);
  await writeClip(path, "text_encoder", options, ["last_hidden_state"]);
  await writeUnet(path, options, [{ name: "encoder_hidden_states", shape: ["B", CLIP_LENGTH, D] }]);
  await writeClipTokenizer(join(path, "tokenizer"));
  await writeVae(path, { channels: 4, scaling_factor: 0.18215 }, options);
}

async function writeSdxl(path: string, options: DiffusionFolderOptions): Promise<void> {
  const scheduler = options.scheduler ?? {
    _class_name: "EulerDiscreteScheduler",
    ...SD_BETAS,
    timestep_spacing: "leading",
    steps_offset: 1,
  };
  await writeIndex(path, "StableDiffusionXLPipeline", scheduler);
  await writeClip(path, "text_encoder", options, ["pooler_output", "last_hidden_state", ...HIDDEN]);
  await writeClip(path, "text_encoder_2", options, ["text_embeds", "last_hidden_state", ...HIDDEN]);
  await writeUnet(path, options, [
    { name: "encoder_hidden_states", shape: ["B", CLIP_LENGTH, 2 * D] },
    { name: "text_embeds", shape: ["B", D] },
    { name: "time_ids", shape: ["B", 6] },
  ]);
  await writeClipTokenizer(join(path, "tokenizer"));
  await writeClipTokenizer(join(path, "tokenizer_2"), "!");
  await writeVae(path, { channels: 4, scaling_factor: 0.13025 }, options);
}

async function writeSd3(path: string, options: DiffusionFolderOptions): Promise<void> {
  const { type = "float32", hasT5 = true } = options;
  const width = 3 * D;
  await writeIndex(
    path,
    "StableDiffusion3Pipeline",
    options.scheduler ?? { _class_name: "FlowMatchEulerDiscreteScheduler", shift: 3 },
  );
  for (const role of ["text_encoder", "text_encoder_2"])
    await writeClip(path, role, options, ["text_embeds", "last_hidden_state", ...HIDDEN]);
  if (hasT5) {
    const graph = writeTextEncoder({
      width,
      outputs: [{ name: "last_hidden_state", kind: "states" }],
      type,
      idType: getIdType(options),
      length: 256,
    });
    await writeFileIn(path, "text_encoder_3/model.onnx", graph);
    await writeT5Tokenizer(join(path, "tokenizer_3"));
  }
  await writeFileIn(
    path,
    "transformer/model.onnx",
    writeTransformer({
      main: { name: "hidden_states", shape: ["B", 16, "h", "w"] },
      others: [
        { name: "encoder_hidden_states", shape: ["B", "S", width] },
        { name: "pooled_projections", shape: ["B", 2 * D] },
        { name: "timestep", shape: ["B"] },
      ],
      output: "out_hidden_states",
      type,
    }),
  );
  await writeClipTokenizer(join(path, "tokenizer"));
  await writeClipTokenizer(join(path, "tokenizer_2"), "!");
  await writeVae(path, { channels: 16, scaling_factor: 1.5305, shift_factor: 0.0609 }, options);
}

async function writeKlein(path: string, options: DiffusionFolderOptions): Promise<void> {
  const { type = "float32", hasEncoder = true } = options;
  const [length, channels] = [512, 128];
  const vae = { channels, cell: 16, type };
  await writeJson(path, "config.json", { model: "flux2-klein" });
  const text = writeTextEncoder({
    width: D,
    outputs: [{ name: "prompt_embeds", kind: "states" }],
    type,
    idType: getIdType(options),
    length,
    hasMask: true,
  });
  await writeFileIn(path, "text_encoder.onnx", text);
  await writeFileIn(
    path,
    "transformer.onnx",
    writeTransformer({
      main: { name: "hidden_states", shape: [1, "S", channels] },
      others: [
        { name: "encoder_hidden_states", shape: [1, length, D] },
        { name: "timestep", shape: [1] },
        { name: "img_ids", shape: [1, "S", 4] },
        { name: "txt_ids", shape: [1, length, 4] },
      ],
      output: "noise_pred",
      type,
    }),
  );
  await writeFileIn(path, "vae_decoder.onnx", writeDecoder({ ...vae, input: "latents", output: "image" }));
  if (hasEncoder)
    await writeFileIn(path, "vae_encoder.onnx", writeEncoder({ ...vae, input: "image", output: "latents" }));
  await writeQwenTokenizer(join(path, "tokenizer"));
}

async function writeZImage(path: string, options: DiffusionFolderOptions): Promise<void> {
  const { type = "float32", isOld = false } = options;
  await writeIndex(
    path,
    "ZImagePipeline",
    options.scheduler ?? { _class_name: "FlowMatchEulerDiscreteScheduler", shift: 3 },
  );
  const text = writeTextEncoder({
    width: D,
    outputs: ["last_hidden_state", ...HIDDEN].map((name) => ({ name, kind: "states" })),
    type,
    idType: getIdType(options),
    length: 512,
    hasMask: true,
  });
  await writeFileIn(path, "text_encoder/model.onnx", text);
  await writeFileIn(
    path,
    "transformer/model.onnx",
    writeTransformer({
      main: { name: "hidden_states", shape: isOld ? ["B", 16, "h", "w"] : ["B", 16, 1, "h", "w"] },
      others: [
        { name: "timestep", shape: ["B"] },
        { name: "encoder_hidden_states", shape: ["B", "S", D] },
      ],
      output: "out_hidden_states",
      type,
    }),
  );
  await writeQwenTokenizer(join(path, "tokenizer"));
  await writeVae(path, { channels: 16, scaling_factor: 0.3611, shift_factor: 0.1159 }, options);
}

const HIDDEN = ["hidden_states.0", "hidden_states.1", "hidden_states.2", "hidden_states.3"];

async function writeClip(
  path: string,
  role: string,
  options: DiffusionFolderOptions,
  outputs: readonly string[],
): Promise<void> {
  const graph = writeTextEncoder({
    width: D,
    outputs: outputs.map((name) => ({ name, kind: /pooler|embeds/.test(name) ? "pooled" : "states" })),
    type: options.type ?? "float32",
    idType: getIdType(options),
    length: CLIP_LENGTH,
  });
  await writeFileIn(path, `${role}/model.onnx`, graph);
}

async function writeUnet(
  path: string,
  options: DiffusionFolderOptions,
  others: readonly Port[],
): Promise<void> {
  const { type = "float32", isOld = false, isToldScale = false } = options;
  const timestep: Port = isOld
    ? { name: "timestep", shape: [1], type: "int64" }
    : { name: "timestep", shape: [], type: "float32" };
  const cond: Port[] = isToldScale ? [{ name: "timestep_cond", shape: ["B", 256] }] : [];
  await writeFileIn(
    path,
    "unet/model.onnx",
    writeTransformer({
      main: { name: "sample", shape: ["B", 4, "h", "w"] },
      others: [timestep, ...others, ...cond],
      output: "out_sample",
      isResidual: options.scheduler?.["prediction_type"] !== "v_prediction",
      type,
    }),
  );
}

async function writeVae(
  path: string,
  { channels, ...config }: { readonly channels: number; readonly [field: string]: number },
  { type = "float32", hasEncoder = true, hasPreview = false }: DiffusionFolderOptions,
): Promise<void> {
  const vae = { channels, cell: 8, type };
  await writeJson(path, "vae_decoder/config.json", { latent_channels: channels, ...config });
  // Small enough that colours stay between black and white, whatever the factor.
  const gain = 0.6 * (config["scaling_factor"] ?? 1);
  const decoder = writeDecoder({ ...vae, input: "latent_sample", output: "sample", gain });
  await writeFileIn(path, "vae_decoder/model.onnx", decoder);
  if (hasEncoder) {
    const encoder = writeEncoder({
      ...vae,
      channels: 2 * channels,
      input: "sample",
      output: "latent_parameters",
    });
    await writeFileIn(path, "vae_encoder/model.onnx", encoder);
  }
  if (!hasPreview) return;
  const preview = writeDecoder({ ...vae, input: "latent_sample", output: "sample", range: "unit" });
  await writeFileIn(path, "preview_decoder/model.onnx", preview);
}

async function writeIndex(
  path: string,
  className: string,
  scheduler: Readonly<Record<string, unknown>>,
): Promise<void> {
  await writeJson(path, "model_index.json", { _class_name: className });
  await writeJson(path, "scheduler/scheduler_config.json", scheduler);
}

function getIdType({ isOld = false }: DiffusionFolderOptions): OnnxType {
  return isOld ? "int32" : "int64";
}

async function writeJson(path: string, name: string, value: unknown): Promise<void> {
  await writeFileIn(path, name, Buffer.from(JSON.stringify(value)));
}

async function writeFileIn(path: string, name: string, bytes: Uint8Array): Promise<void> {
  await mkdir(dirname(join(path, name)), { recursive: true });
  await writeFile(join(path, name), bytes);
}
