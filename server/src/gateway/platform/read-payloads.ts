import { resolveFileLinks } from "../../files/file-links.ts";
import type { RequestId } from "../../ids.ts";
import type { RequestQueue } from "../../queue/request-queue.ts";

/** Input and output of a request as JSON while they are stored; a member is left out when it is not. */
export async function readPayloads(
  queue: RequestQueue,
  id: RequestId,
  filesBase: string,
): Promise<{ readonly json_input?: unknown; readonly json_output?: unknown }> {
  const input = parse((await queue.readInput(id))?.body ?? null);
  const result = await queue.readResult(id);
  const output = result === undefined ? undefined : parse(resolveFileLinks(result.body, filesBase));
  return {
    ...(input === undefined ? {} : { json_input: input }),
    ...(output === undefined ? {} : { json_output: output }),
  };
}

/** Characters of an input that are shown in a list. */
const EXCERPT = 160;

/** The beginning of the input's prompt or text, else of its JSON; undefined when it is not stored. */
export async function readExcerpt(queue: RequestQueue, id: RequestId): Promise<string | undefined> {
  const input = parse((await queue.readInput(id))?.body ?? null);
  if (input === undefined) return undefined;
  const { prompt, text } = (input ?? {}) as { readonly prompt?: unknown; readonly text?: unknown };
  const words = [prompt, text].find((each) => typeof each === "string" && each !== "");
  const whole = typeof words === "string" ? words : JSON.stringify(input);
  return whole.length <= EXCERPT ? whole : `${whole.slice(0, EXCERPT)}…`;
}

/** Undefined for what is not JSON: bodies are stored as they came. */
function parse(body: Uint8Array | null): unknown {
  if (body === null) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}
