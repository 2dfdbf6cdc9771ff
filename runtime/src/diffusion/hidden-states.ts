import type { Answer, Floats, Graph } from "../sessions/graph.ts";

/**
 * The states after the last layer but one, which many families use instead of the last: `hidden_states.k` counts
 * from the embedding (0) to the last layer. An encoder that was exported for this use has them as `prompt_embeds`,
 * or as its last state.
 */
export function getPenultimate(encoder: Graph, answer: Answer): Floats {
  const layers = encoder.outputs
    .map((name) => /^hidden_states\.(\d+)$/.exec(name)?.[1])
    .filter((layer) => layer !== undefined)
    .map(Number);
  if (layers.length > 1) return answer(`hidden_states.${Math.max(...layers) - 1}`);
  return answer(encoder.outputs.includes("prompt_embeds") ? "prompt_embeds" : "last_hidden_state");
}

/** Features of two encoders side by side, token by token. */
export function joinFeatures(a: Floats, b: Floats): Floats {
  const tokens = a.dims[1] ?? 1;
  const [wa, wb] = [a.dims[2] ?? 1, b.dims[2] ?? 1];
  const data = new Float32Array(tokens * (wa + wb));
  for (let i = 0; i < tokens; i++) {
    data.set(a.data.subarray(i * wa, (i + 1) * wa), i * (wa + wb));
    data.set(b.data.subarray(i * wb, (i + 1) * wb), i * (wa + wb) + wa);
  }
  return { data, dims: [1, tokens, wa + wb] };
}

/** The same tokens with zeros behind their features. */
export function widenFeatures(states: Floats, width: number): Floats {
  const [, tokens = 1, own = 1] = states.dims;
  if (own >= width) return states;
  return joinFeatures(states, {
    data: new Float32Array(tokens * (width - own)),
    dims: [1, tokens, width - own],
  });
}

/** The tokens of one encoder and then those of another. */
export function joinTokens(a: Floats, b: Floats): Floats {
  const data = new Float32Array(a.data.length + b.data.length);
  data.set(a.data);
  data.set(b.data, a.data.length);
  return { data, dims: [1, (a.dims[1] ?? 0) + (b.dims[1] ?? 0), a.dims[2] ?? 1] };
}

/** Two single vectors as one. */
export function joinVectors(a: Floats, b: Floats): Floats {
  const data = new Float32Array(a.data.length + b.data.length);
  data.set(a.data);
  data.set(b.data, a.data.length);
  return { data, dims: [1, data.length] };
}
