import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fitPicture } from "../images/fit-picture.ts";
import { BYTES, type Planes, toPicture, toPlanes } from "../images/planes.ts";
import { upscaleTiles } from "../images/upscale-tiles.ts";
import { openOnnxSession } from "../sessions/open-onnx-session.ts";
import { getOutput, type Session } from "../sessions/session.ts";
import { createFloatTensor, getFloats } from "../sessions/tensor.ts";
import { verifyWeights } from "../weights/verify-weights.ts";
import { EngineError, type Picture } from "./engine.ts";

/** Makes pictures larger with learned networks. */
export interface EsrganUpscaler extends AsyncDisposable {
  /**
   * @returns a picture of `scale` times the sides, rounded to whole pixels
   * @throws the signal's reason, at the latest one tile after it aborts
   */
  upscale(picture: Picture, options: UpscaleJob): Promise<Picture>;
}

export interface UpscaleJob {
  /** 1 to 8, fractions too. */
  readonly scale: number;
  /** Side of the tiles in pixels, 0: the default of 256. Smaller tiles need less memory. */
  readonly tile: number;
  readonly signal: AbortSignal;
  /** Called after each tile of a pass. */
  readonly onTile?: (done: number, tiles: number) => void;
}

const DEFAULT_TILE = 256;
const SMALLEST_TILE = 64;
const OVERLAP = 16;

interface EsrganConfig {
  readonly family: string;
  readonly graphs: readonly {
    readonly factor: number;
    readonly file: string;
    readonly bytes: number;
    readonly sha256: string;
  }[];
}

/**
 * Loads the networks of a folder such as `models/esrgan`.
 * @throws EngineError naming the file that is missing or damaged
 */
export async function openEsrganUpscaler(options: {
  readonly folder: string;
  readonly threads: number;
}): Promise<EsrganUpscaler> {
  const { folder, threads } = options;
  const { graphs } = await readConfig(join(folder, "config.json"));
  await verifyWeights(folder, Object.fromEntries(graphs.map((graph) => [graph.file, graph])));
  const sessions = new Map<number, Session>();
  for (const { factor, file } of graphs)
    sessions.set(factor, await openOnnxSession({ path: join(folder, file), threads }));
  const factors = [...sessions.keys()].sort((a, b) => a - b);

  return {
    async upscale(picture, { scale, tile, signal, onTile }) {
      const wanted = {
        width: Math.max(1, Math.round(picture.width * scale)),
        height: Math.max(1, Math.round(picture.height * scale)),
      };
      let planes = toPlanes(picture, BYTES);
      for (const factor of choosePasses(factors, scale)) {
        const session = sessions.get(factor) as Session;
        planes = await upscaleTiles(planes, {
          upscale: (part) => runGraph(session, part, factor),
          factor,
          tile: tile === 0 ? DEFAULT_TILE : Math.max(SMALLEST_TILE, tile),
          overlap: OVERLAP,
          signal,
          ...(onTile === undefined ? {} : { onTile }),
        });
      }
      return fitPicture(toPicture(planes, BYTES), wanted);
    },
    async [Symbol.asyncDispose]() {
      for (const session of sessions.values()) await session[Symbol.asyncDispose]();
    },
  };
}

/** The passes that reach a scale: the smallest network that does, else the largest first and again. */
export function choosePasses(factors: readonly number[], scale: number): readonly number[] {
  const passes: number[] = [];
  const largest = factors.at(-1) ?? 1;
  let rest = scale;
  while (rest > 1 && largest > 1) {
    const factor = factors.find((item) => item >= rest) ?? largest;
    passes.push(factor);
    rest /= factor;
  }
  return passes;
}

async function runGraph(session: Session, part: Planes, factor: number): Promise<Planes> {
  const { data, width, height } = part;
  const output = await session.run({ pixels: createFloatTensor(data, [1, 3, height, width]) });
  return { data: getFloats(getOutput(output, "upscaled")), width: width * factor, height: height * factor };
}

async function readConfig(path: string): Promise<EsrganConfig> {
  let config: EsrganConfig;
  try {
    config = JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new EngineError(
      "failed",
      `Cannot read ${path}, which describes the upscaler. Restore the folder.`,
      {
        cause,
      },
    );
  }
  if (config.family !== "esrgan" || !Array.isArray(config.graphs) || config.graphs.length === 0)
    throw new EngineError("failed", `${path} does not describe an upscaler with its graphs.`);
  return config;
}
