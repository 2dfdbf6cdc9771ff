/** How a program finds the server: by the settings that the docs give for its client, or by none, under `sluice exec`. */
export type Way = "recipe" | "exec";

/** An unmodified client, the program that uses it, and every operation that the program must report as done. */
export interface Client {
  /** Name and pinned version. */
  readonly title: string;
  readonly runtime: "node" | "python";
  /** In `programs/`, with arguments. */
  readonly program: readonly string[];
  readonly operations: readonly string[];
  /** Operations that only one way has, with the reason. */
  readonly missing?: Partial<Record<Way, Readonly<Record<string, string>>>>;
}

/** Columns of the table, in its order. */
export const OPERATIONS = [
  "run",
  "run, three pictures",
  "subscribe (polling)",
  "subscribe (streaming)",
  "queue calls",
  "stream",
  "realtime",
  "realtime without a token",
  "upload, small",
  "upload, 120 MB",
  "file in the input",
  "cancel",
  "webhook",
  "bad input (422)",
  "wrong key (401)",
] as const;

const JAVASCRIPT = OPERATIONS.filter(
  (name) => name !== "run, three pictures" && name !== "realtime without a token",
);
const PYTHON = [
  "run",
  "subscribe (polling)",
  "queue calls",
  "stream",
  "realtime",
  "realtime without a token",
  "upload, small",
  "upload, 120 MB",
  "cancel",
  "webhook",
  "bad input (422)",
  "wrong key (401)",
];
const AI_SDK = ["run", "run, three pictures", "bad input (422)", "wrong key (401)"];

export const CLIENTS: readonly Client[] = [
  { title: "@fal-ai/client 1.10.1", runtime: "node", program: ["fal-client.mjs"], operations: JAVASCRIPT },
  {
    title: "@fal-ai/serverless-client 0.15.0",
    runtime: "node",
    program: ["fal-serverless-client.mjs"],
    operations: JAVASCRIPT,
  },
  {
    title: "@fal-ai/server-proxy 1.2.1",
    runtime: "node",
    program: ["server-proxy.mjs"],
    operations: JAVASCRIPT.filter((name) => name !== "realtime"),
    missing: {
      exec: {
        "upload, 120 MB":
          "what the official proxy allows by default leaves out the call that begins an upload in parts, here as on the hosted service",
      },
    },
  },
  { title: "@ai-sdk/fal 2.0.59", runtime: "node", program: ["ai-sdk.mjs", "2"], operations: AI_SDK },
  { title: "@ai-sdk/fal 3.0.41", runtime: "node", program: ["ai-sdk.mjs", "3"], operations: AI_SDK },
  {
    title: "@tanstack/ai-fal 0.10.1",
    runtime: "node",
    program: ["tanstack-ai.mjs"],
    operations: ["subscribe (polling)", "bad input (422)", "wrong key (401)"],
  },
  {
    title: "fal-client 1.0.3 (Python)",
    runtime: "python",
    program: ["fal_client_operations.py", "sync"],
    operations: PYTHON,
  },
  {
    title: "fal-client 1.0.3 (Python, asyncio)",
    runtime: "python",
    program: ["fal_client_operations.py", "async"],
    operations: PYTHON,
  },
];

/** What the client's program must report, in either order. */
export function listExpected(client: Client, way: Way): readonly string[] {
  return client.operations.filter((name) => client.missing?.[way]?.[name] === undefined);
}
