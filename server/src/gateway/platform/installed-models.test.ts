import assert from "node:assert/strict";
import { test } from "node:test";
import type { InstalledModel } from "../../catalog/installed-models.ts";
import { openGateway } from "../testing/open-gateway.ts";

const SERVED: InstalledModel = {
  name: "klein",
  title: "FLUX.2 [klein] 4B",
  engine: "sd-server",
  family: "flux2-klein",
  license: "Apache-2.0",
  bytes: 7_400_000_000,
  source: "flux-2-klein-4b",
  endpoints: ["fal-ai/flux-pro"],
  modelFile: "/data/klein.mjs",
  problem: undefined,
};

test("installed models are shown to whoever operates the server, with what is wrong with them", async () => {
  const broken = { ...SERVED, name: "lost", modelFile: undefined, problem: "The model lost is not here." };
  await using gateway = await openGateway({
    models: [],
    change: (context) => ({ ...context, listInstalledModels: () => [SERVED, broken] }),
  });
  const { keys } = gateway.context;
  const ask = async (scope: "API" | "ADMIN") => {
    const { credential } = await keys.create({ alias: scope, scope });
    return gateway.call("/v1/sluice/models", { headers: { authorization: `Key ${credential}` } });
  };
  assert.equal((await ask("API")).status, 403);
  const response = await ask("ADMIN");
  assert.equal(response.status, 200);
  const { models } = response.json as { models: Record<string, unknown>[] };
  assert.deepEqual(
    models.map(({ name, endpoint_ids, is_offered, problem, version }) => [
      name,
      endpoint_ids,
      is_offered,
      problem,
      version,
    ]),
    [
      ["klein", ["fal-ai/flux-pro"], false, null, null],
      ["lost", ["fal-ai/flux-pro"], false, "The model lost is not here.", null],
    ],
  );
});
