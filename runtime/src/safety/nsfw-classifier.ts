import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { EngineError, type Picture } from "../engines/engine.ts";
import { openOnnxSession } from "../sessions/open-onnx-session.ts";
import { getOutput } from "../sessions/session.ts";
import { createFloatTensor, getFloats } from "../sessions/tensor.ts";
import { verifyWeights } from "../weights/verify-weights.ts";
import type { NsfwScores } from "./nsfw-scores.ts";
import { resizeOnCorners } from "./resize-on-corners.ts";

/** Looks at a finished picture. About 15 ms each on one core. */
export interface NsfwClassifier extends AsyncDisposable {
  classify(picture: Picture): Promise<NsfwScores>;
}

/** `config.json` beside the classifier's graph. */
interface ClassifierConfig {
  readonly family: string;
  readonly side: number;
  readonly labels: readonly string[];
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

const LABELS = ["Drawing", "Hentai", "Neutral", "Porn", "Sexy"];

/**
 * Loads the classifier from its folder (`models/nsfw` in the repository, whose README names its origin).
 * @throws EngineError naming the file that is missing or damaged
 */
export async function openNsfwClassifier(options: {
  readonly folder: string;
  readonly threads: number;
}): Promise<NsfwClassifier> {
  const { folder, threads } = options;
  const { side, file, bytes, sha256 } = await readConfig(join(folder, "config.json"));
  await verifyWeights(folder, { [file]: { bytes, sha256 } });
  const session = await openOnnxSession({ path: join(folder, file), threads });
  return {
    async classify(picture) {
      const pixels = createFloatTensor(resizeOnCorners(picture, side), [1, 3, side, side]);
      const values = getFloats(getOutput(await session.run({ pixels }), "scores"));
      const [drawing = 0, hentai = 0, neutral = 0, porn = 0, sexy = 0] = values;
      return { drawing, hentai, neutral, porn, sexy };
    },
    [Symbol.asyncDispose]: () => session[Symbol.asyncDispose]() as Promise<void>,
  };
}

async function readConfig(path: string): Promise<ClassifierConfig> {
  let config: ClassifierConfig;
  try {
    config = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new EngineError(
      "failed",
      `Cannot read ${path}, which describes the classifier. Restore the folder.`,
      {
        cause,
      },
    );
  }
  if (config.family !== "nsfw-classifier" || config.labels?.join() !== LABELS.join())
    throw new EngineError(
      "failed",
      `${path} does not describe a classifier of the classes ${LABELS.join(", ")}.`,
    );
  return config;
}
