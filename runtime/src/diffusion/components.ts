import { createGraph, type Graph, type Values } from "../sessions/graph.ts";
import type { Session } from "../sessions/session.ts";
import type { PromptTokenizer } from "../text/prompt-tokenizer.ts";
import { FAMILIES, type Role } from "../weights/families.ts";
import type { ModelFolder } from "../weights/model-folder.ts";
import type { PromptText } from "./pipeline.ts";

/** The loaded graphs of a model folder, by what they do. */
export interface Components extends AsyncDisposable {
  /** @throws TypeError for a part that the family does not have */
  get(role: Role): Graph;
  find(role: Role): Graph | undefined;
}

/**
 * Loads every graph of a folder, one after another.
 * @param open loads a file
 * @throws EngineError for a graph that does not fit its family; what was loaded before is closed
 */
export async function openComponents(
  folder: ModelFolder,
  open: (path: string, role: Role) => Promise<Session>,
): Promise<Components> {
  const graphs = new Map<Role, Graph>();
  const close = async () => {
    for (const graph of graphs.values()) await graph[Symbol.asyncDispose]();
    graphs.clear();
  };
  try {
    for (const [name, path] of Object.entries(folder.graphs)) {
      const role = name as Role;
      const signature = FAMILIES[folder.family].graphs[role];
      if (signature === undefined || path === undefined) continue;
      const session = await open(path, role);
      try {
        graphs.set(role, createGraph(session, signature, folder.overrides.graphs[role]));
      } catch (error) {
        await session[Symbol.asyncDispose]();
        throw error;
      }
    }
  } catch (error) {
    await close();
    throw error;
  }
  return {
    get(role) {
      const graph = graphs.get(role);
      if (graph === undefined) throw new TypeError(`the model ${folder.path} has no ${role}`);
      return graph;
    },
    find: (role) => graphs.get(role),
    [Symbol.asyncDispose]: close,
  };
}

/** A prompt's ids; warns when it was too long. */
export function tokenize(
  tokenizer: PromptTokenizer,
  prompt: string,
  text: Pick<PromptText, "warn">,
): ReturnType<PromptTokenizer["encode"]> {
  const tokens = tokenizer.encode(prompt);
  if (tokens.cut > 0)
    text.warn(
      `the prompt is longer than the ${tokens.ids.length} tokens that a text encoder of this model reads: its last ${tokens.cut} tokens are not seen by it`,
    );
  return tokens;
}

/** Ids as one row of a text encoder. */
export function toRow(ids: readonly number[]): Values {
  return { data: ids, dims: [1, ids.length] };
}
