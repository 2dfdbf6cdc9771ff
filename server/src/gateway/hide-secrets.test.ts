import assert from "node:assert/strict";
import { test } from "node:test";
import type { Logger } from "../logger.ts";
import { hideSecrets } from "./hide-secrets.ts";
import { openGateway } from "./testing/open-gateway.ts";

test("addresses that are secrets do not reach the log", { timeout: 30_000 }, async () => {
  let logged = "";
  const log = (fields: object): void => {
    logged += JSON.stringify(fields);
  };
  const logger: Logger = { debug: log, info: log, warn: log, error: log };
  await using gateway = await openGateway({ logger });
  for (const path of ["/v1/sluice/inbox/xyzzy", "/v1/sluice/files/archives/xyzzy", "/cdn/uploads/xyzzy/1"])
    await gateway.call(path, { method: "POST", json: {}, authorization: null });
  await gateway.call("/v1/models?token=xyzzy");
  assert.ok(logged.includes("/v1/sluice/inbox/…"), logged);
  assert.ok(!logged.includes("xyzzy"), logged);
});

test("other paths are logged as they are", () => {
  for (const path of ["/v1/sluice/inbox", "/v1/sluice/requests/1/deliveries", "/queue/acme/inbox"])
    assert.equal(hideSecrets(path), path);
});
