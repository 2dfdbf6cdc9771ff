import { fileURLToPath } from "node:url";

const FILE_EXTENSION = import.meta.url.endsWith(".ts") ? "ts" : "js";

/** Paths of the model files that a fresh install serves; a worker process imports each of them. */
export const SHIPPED_MODEL_FILES: readonly string[] = ["tiny", "esrgan", "nsfw"].map((name) =>
  fileURLToPath(new URL(`./${name}.${FILE_EXTENSION}`, import.meta.url)),
);
