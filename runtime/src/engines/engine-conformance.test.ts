import { fileURLToPath } from "node:url";
import { DIFFUSION_CASES, DIFFUSION_JOB, openDiffusionCase } from "../testing/diffusion-cases.ts";
import { testEngine } from "../testing/engine-conformance.ts";
import { createReplaySdServer } from "../testing/replay-sd-server.ts";
import type { Engine } from "./engine.ts";
import { openSdServerEngine } from "./sd-server/sd-server-engine.ts";
import { openTinyEngine } from "./tiny-engine.ts";

testEngine({
  name: "the embedded engine",
  open: async () => {
    const folder = fileURLToPath(new URL("../../../models/tiny/", import.meta.url));
    return wrap(await openTinyEngine({ folder, name: "sluice-tiny", threads: 1 }));
  },
  job: { prompt: "a red apple", width: 96, height: 64, steps: 4, guidance: 3.5 },
  unsupported: { init: "its model was trained on prompts alone" },
});

for (const [name, [family, options]] of Object.entries(DIFFUSION_CASES)) {
  // One of each family: the others differ in their schedulers. Stable Diffusion 1.5 begins with a call that is no step.
  if (
    ![
      "FLUX.1 dev",
      "Stable Diffusion 2.1",
      "SDXL",
      "Stable Diffusion 3",
      "FLUX.2-klein",
      "Z-Image-Turbo",
    ].includes(name)
  )
    continue;
  const isDistilled = name === "FLUX.2-klein" || name === "Z-Image-Turbo";
  testEngine({
    name: `the built-in engine on ${name}`,
    open: () => openDiffusionCase(family, options),
    job: DIFFUSION_JOB,
    ...(isDistilled ? { unsupported: { guidance: "it was distilled to need none" } } : {}),
  });
}

testEngine({
  name: "the engine on sd-server",
  open: async () => {
    const replay = await createReplaySdServer({ stepMs: 5 });
    const { binary, folder, model } = replay;
    const options = { model, folder, name: "replay", threads: 1, binary, pollMs: 20 };
    return wrap(await openSdServerEngine(options), replay);
  },
  job: DIFFUSION_JOB,
});

function wrap(engine: Engine, beneath?: AsyncDisposable): { readonly engine: Engine } & AsyncDisposable {
  return {
    engine,
    async [Symbol.asyncDispose]() {
      await engine[Symbol.asyncDispose]();
      await beneath?.[Symbol.asyncDispose]();
    },
  };
}
