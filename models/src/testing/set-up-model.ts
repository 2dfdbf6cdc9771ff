import type { ModelDefinition, RunContext, SetupContext } from "@sluice/runtime/model";

/**
 * Sets a model up in this process and returns the context of a run in which nobody listens and no file is read.
 * `parts` replaces what a test looks at.
 */
export async function setUpModel<Input, Output, State>(
  { id, setup }: Pick<ModelDefinition<Input, Output, State>, "id" | "setup">,
  { threads = 2, settings = {} }: Partial<Pick<SetupContext, "threads" | "settings">>,
  parts: Partial<Omit<RunContext<State>, "state">> = {},
): Promise<RunContext<State>> {
  const { signal } = new AbortController();
  const log = parts.log ?? (() => {});
  const state = (await setup?.({ log, signal, threads, cacheDir: "", settings })) as State;
  return {
    state,
    requestId: "r",
    endpointId: id,
    attempt: 1,
    seed: 99,
    signal,
    log,
    progress: () => {},
    preview: () => {},
    emit: () => {},
    files: { read: () => Promise.reject(new Error("this model reads no files")) },
    wantsPreviews: false,
    headers: {},
    ...parts,
  };
}
