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

/** Undefined for what is not JSON: bodies are stored as they came. */
function parse(body: Uint8Array | null): unknown {
  if (body === null) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
}
