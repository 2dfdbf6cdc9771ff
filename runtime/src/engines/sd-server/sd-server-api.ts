import { EngineError } from "../engine.ts";

/** What a server says about itself. Only what the driver needs; later releases say more. */
export interface SdCapabilities {
  /** Path of the file that was given as `model` or `diffusion-model`. */
  readonly modelPath: string;
  readonly makesImages: boolean;
  readonly samplers: readonly string[];
  readonly schedulers: readonly string[];
  readonly maxSide: number | undefined;
  readonly canCancel: boolean;
}

export type SdJob =
  | { readonly status: "queued" | "generating" }
  | { readonly status: "completed"; readonly image: Uint8Array }
  | { readonly status: "failed" | "cancelled"; readonly message: string };

/** One `sd-server`, spoken to in its native API, `/sdcpp/v1`. Its other routes read instructions out of prompts. */
export interface SdServerApi {
  /** Undefined while nothing answers. */
  findCapabilities(signal: AbortSignal): Promise<SdCapabilities | undefined>;
  /** @returns the job's id */
  submit(body: object, signal: AbortSignal): Promise<string>;
  getJob(id: string, signal: AbortSignal): Promise<SdJob>;
  /** @returns false when the server does not interrupt what it has begun */
  cancel(id: string, signal: AbortSignal): Promise<boolean>;
}

/** An answer that is not what the API promises: the server is replaced by a new one. */
export class SdServerConfused extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = "SdServerConfused";
  }
}

/** A finished picture of four megapixels as PNG in base64, and some. */
const MOST_REPLY_BYTES = 256 * 2 ** 20;

/** @param timeoutMs longest wait for one answer; even while it computes the server answers within 100 ms */
export function createSdServerApi(origin: string, timeoutMs: number): SdServerApi {
  const call = async (
    path: string,
    signal: AbortSignal,
    body?: object,
  ): Promise<{ readonly status: number; readonly reply: Fields }> => {
    const limit = AbortSignal.timeout(timeoutMs);
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    try {
      const response = await fetch(`${origin}/sdcpp/v1/${path}`, {
        ...init,
        // Bodies of forms, which is what others are taken for, may have 8 KiB there.
        headers: { "content-type": "application/json" },
        redirect: "error",
        signal: AbortSignal.any([signal, limit]),
      });
      return { status: response.status, reply: parseReply(await readText(response)) };
    } catch (cause) {
      signal.throwIfAborted();
      if (limit.aborted)
        throw new SdServerConfused(`it did not answer within ${timeoutMs / 1000} seconds`, { cause });
      throw cause;
    }
  };
  return {
    async findCapabilities(signal) {
      let answer: Awaited<ReturnType<typeof call>>;
      try {
        answer = await call("capabilities", signal);
      } catch (error) {
        if (signal.aborted || error instanceof SdServerConfused) throw error;
        return undefined;
      }
      if (answer.status !== 200) throw describeRefusal("capabilities", answer);
      return readCapabilities(answer.reply);
    },
    async submit(body, signal) {
      const answer = await call("img_gen", signal, body);
      const { status, reply } = answer;
      if (status === 202 && typeof reply["id"] === "string") return reply["id"];
      if (status === 429)
        throw new EngineError("unavailable", "sd-server has work of somebody else in line.");
      throw describeRefusal("img_gen", answer);
    },
    async getJob(id, signal) {
      const answer = await call(`jobs/${encodeURIComponent(id)}`, signal);
      if (answer.status !== 200) throw describeRefusal(`jobs/${id}`, answer);
      return readJob(answer.reply);
    },
    async cancel(id, signal) {
      return (await call(`jobs/${encodeURIComponent(id)}/cancel`, signal, {})).status === 200;
    },
  };
}

type Fields = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : [];

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MOST_REPLY_BYTES) throw new SdServerConfused("its answer has no end");
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseReply(text: string): Fields {
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch {
    // Said below, as for JSON that is no object.
  }
  throw new SdServerConfused(`it answered ${JSON.stringify(text.slice(0, 100))}, which is not a JSON object`);
}

function describeRefusal(path: string, { status, reply }: { status: number; reply: Fields }): Error {
  const error = reply["error"];
  const said = [isObject(error) ? error["message"] : error, reply["message"]].filter(
    (part) => part !== undefined,
  );
  const text = `it answered ${status} to ${path}: ${said.join(": ") || "without a reason"}`;
  return status === 400
    ? new EngineError("failed", `sd-server refused the request: ${text}.`)
    : new SdServerConfused(text);
}

function readCapabilities(reply: Fields): SdCapabilities {
  const { model, supported_modes: modes, limits, features_by_mode: features } = reply;
  const path = isObject(model) ? model["path"] : undefined;
  if (typeof path !== "string" || !Array.isArray(modes))
    throw new SdServerConfused("its capabilities lack the model or the modes; another release may help");
  const image = isObject(features) && isObject(features["img_gen"]) ? features["img_gen"] : {};
  const sides = isObject(limits) ? [limits["max_width"], limits["max_height"]].map(Number) : [];
  return {
    modelPath: path,
    makesImages: modes.includes("img_gen"),
    samplers: texts(reply["samplers"]),
    schedulers: texts(reply["schedulers"]),
    maxSide: sides.length === 2 && sides.every((side) => side > 0) ? Math.min(...sides) : undefined,
    canCancel: image["cancel_generating"] === true,
  };
}

function readJob(reply: Fields): SdJob {
  const { status, result, error } = reply;
  switch (status) {
    case "queued":
    case "generating":
      return { status };
    case "failed":
    case "cancelled":
      return { status, message: isObject(error) ? String(error["message"]) : "without a reason" };
    case "completed": {
      const images = isObject(result) ? result["images"] : undefined;
      const [first] = Array.isArray(images) ? images : [];
      const text: unknown = isObject(first) ? first["b64_json"] : undefined;
      if (typeof text !== "string") throw new SdServerConfused("it finished without a picture");
      // Some builds answer data URLs.
      return { status, image: Buffer.from(text.replace(/^data:[^,]*,/, ""), "base64") };
    }
    default:
      throw new SdServerConfused(`its job has the status ${JSON.stringify(status)}`);
  }
}
