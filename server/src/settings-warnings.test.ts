import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSettings } from "./settings.ts";
import { listSettingsWarnings } from "./settings-warnings.ts";

test("a server that others reach without TLS is warned about, one on loopback or behind a proxy is not", () => {
  const warn = (environment: Record<string, string>): readonly string[] =>
    listSettingsWarnings(parseSettings(environment), environment);
  for (const host of ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
    assert.deepEqual(warn({ SLUICE_HOST: host }), [], host);
  for (const host of ["0.0.0.0", "::", "192.168.1.5", "models.example.org"])
    assert.match(warn({ SLUICE_HOST: host }).join(), /in the clear.*SLUICE_TLS_CERT/, host);
  assert.deepEqual(warn({ SLUICE_HOST: "0.0.0.0", SLUICE_TRUSTED_PROXIES: "10.0.0.1" }), []);
  assert.deepEqual(warn({ SLUICE_HOST: "0.0.0.0", SLUICE_TLS_CERT: "a", SLUICE_TLS_KEY: "b" }), []);
});

test("a variable with the prefix that is no setting is named", () => {
  const environment = {
    SLUICE_PROT: "80",
    SLUICE_PORT: "80",
    SLUICE_MODEL_X: "1",
    SLUICE_URL: "x",
    HOME: "/",
  };
  assert.match(
    listSettingsWarnings(parseSettings({}), environment).join("|"),
    /^SLUICE_PROT is no setting[^|]*$/,
  );
});
