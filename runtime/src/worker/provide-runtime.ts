import { registerHooks } from "node:module";

/**
 * Lets a model file anywhere on the disk import `@sluice/runtime`, `@sluice/protocol` and `@sluice/models`: what its
 * own folder does not provide is taken from this installation.
 */
export function provideRuntime(): void {
  registerHooks({
    resolve(specifier, context, nextResolve) {
      if (!OURS.test(specifier)) return nextResolve(specifier, context);
      try {
        return nextResolve(specifier, context);
      } catch (error) {
        if ((error as { code?: unknown }).code !== "ERR_MODULE_NOT_FOUND") throw error;
        return nextResolve(specifier, { ...context, parentURL: import.meta.url });
      }
    },
  });
}

const OURS = /^@sluice\/(runtime|protocol|models)(\/|$)/;
