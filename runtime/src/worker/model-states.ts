import type { ModelDefinition, SetupContext } from "../model/define-model.ts";

/** What `setup` returned, for every definition of a model file. */
export interface ModelStates {
  /** Calls every `setup` once, one after the other: definitions that name the same function share its result. */
  setup(context: SetupContext): Promise<void>;
  get(definition: ModelDefinition): unknown;
  /** Calls every `teardown` once per state. Goes on after an error. */
  teardown(onError: (error: unknown) => void): Promise<void>;
}

export function createStates(source: Iterable<ModelDefinition>): ModelStates {
  const definitions = [...source];
  const states = new Map<ModelDefinition["setup"], unknown>();
  return {
    async setup(context) {
      for (const { setup } of definitions) {
        if (setup === undefined || states.has(setup)) continue;
        context.signal.throwIfAborted();
        states.set(setup, await setup(context));
      }
    },
    get: (definition) => states.get(definition.setup),
    async teardown(onError) {
      const done = new Map<ModelDefinition["setup"], Set<ModelDefinition["teardown"]>>();
      for (const { setup, teardown } of definitions) {
        // Without a finished setup there is nothing to release.
        if (teardown === undefined || (setup !== undefined && !states.has(setup))) continue;
        const called = done.get(setup) ?? new Set();
        done.set(setup, called);
        if (called.has(teardown)) continue;
        called.add(teardown);
        try {
          await teardown(states.get(setup));
        } catch (error) {
          onError(error);
        }
      }
    },
  };
}
