/** What `scripts/parity` needs to draw step by step and to compare; nothing else reads these together. */
export { type Components, openComponents } from "../diffusion/components.ts";
export { createPipeline } from "../diffusion/create-pipeline.ts";
export { createNoiseSource } from "../diffusion/noise.ts";
export type { Pipeline } from "../diffusion/pipeline.ts";
export { SIGNED, toPicture, toPlanes } from "../images/planes.ts";
export { openOnnxSession } from "../sessions/open-onnx-session.ts";
export { openClipTokenizer } from "../text/clip-tokenizer.ts";
export type { PromptTokenizer } from "../text/prompt-tokenizer.ts";
export { openQwenTokenizer } from "../text/qwen-tokenizer.ts";
export { openT5Tokenizer } from "../text/t5-tokenizer.ts";
export { readModelFolder } from "../weights/model-folder.ts";
export { writeClipTokenizer, writeQwenTokenizer, writeT5Tokenizer } from "./tokenizer-folders.ts";
