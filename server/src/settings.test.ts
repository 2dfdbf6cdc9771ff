import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSettings, SETTINGS, SettingsError } from "./settings.ts";

test("an empty environment gives a loopback server on port 7777 with its data in .sluice", () => {
  const settings = parseSettings({});
  assert.equal(settings.host, "127.0.0.1");
  assert.equal(settings.port, 7777);
  assert.equal(settings.dataDir, ".sluice");
  assert.equal(settings.publicUrl, null);
  assert.deepEqual(settings.trustedProxies, []);
  assert.equal(settings.maxBodyBytes, 32 * 2 ** 20);
  assert.equal(settings.resultRetentionMs, 30 * 24 * 3600 * 1000);
  assert.ok(Object.isFrozen(settings));
});

test("a flag wins over the environment, the environment over the default", () => {
  assert.equal(parseSettings({ SLUICE_PORT: "81" }).port, 81);
  assert.equal(parseSettings({ SLUICE_PORT: "81" }, { port: "82" }).port, 82);
});

test("bytes, durations, booleans and lists are read as people write them", () => {
  const settings = parseSettings({
    SLUICE_MAX_UPLOAD: "1.5GiB",
    SLUICE_LEASE: "2m",
    SLUICE_STRICT: "yes",
    SLUICE_TRUSTED_PROXIES: "10.0.0.0/8, ::1",
    SLUICE_MODEL_SAFETY: "off",
  });
  assert.equal(settings.maxUploadBytes, 1.5 * 2 ** 30);
  assert.equal(settings.leaseMs, 120_000);
  assert.equal(settings.strict, true);
  assert.deepEqual(settings.trustedProxies, ["10.0.0.0/8", "::1"]);
  assert.deepEqual(settings.modelSettings, { safety: "off" });
});

const REFUSED: readonly (readonly [Record<string, string>, RegExp])[] = [
  [{ SLUICE_PORT: "http" }, /SLUICE_PORT must be a whole number, not "http"/],
  [{ SLUICE_PORT: "70000" }, /SLUICE_PORT must be 0 to 65535/],
  [{ SLUICE_STRICT: "maybe" }, /SLUICE_STRICT must be true or false, not "maybe"/],
  [{ SLUICE_LEASE: "soon" }, /SLUICE_LEASE must be a duration/],
  [{ SLUICE_MAX_BODY: "1 elephant" }, /SLUICE_MAX_BODY must be bytes/],
  [{ SLUICE_TLS_CERT: "a.pem" }, /SLUICE_TLS_CERT and SLUICE_TLS_KEY go together/],
  [
    { SLUICE_DATABASE_URL: "mysql://u:secret@h/d" },
    /^SLUICE_DATABASE_URL must begin with postgres:\/\/[^@]*$/,
  ],
  [{ SLUICE_STORAGE_URL: "https://u:secret@h/bucket" }, /^SLUICE_STORAGE_URL must begin with s3:\/\/[^@]*$/],
  [{ SLUICE_PUBLIC_URL: "example.org" }, /SLUICE_PUBLIC_URL must be an http\(s\) origin/],
  [{ SLUICE_PUBLIC_URL: "https://example.org/api" }, /SLUICE_PUBLIC_URL must be an http\(s\) origin/],
  [{ SLUICE_LOG_LEVEL: "loud" }, /SLUICE_LOG_LEVEL must be debug, info, .*, not "loud"/],
  [{ SLUICE_HUB: "http://mirror.example.org" }, /SLUICE_HUB must be an https address/],
  [{ SLUICE_HUB: "https://me:secret@mirror.example.org" }, /SLUICE_HUB must be .* without a password/],
  [{ SLUICE_LEASE: "10" }, /SLUICE_LEASE must be at least 1s/],
  [{ SLUICE_SAFETY_ACTION: "shrug" }, /SLUICE_SAFETY_ACTION must be blank, flag or reject/],
];

for (const [environment, message] of REFUSED) {
  test(`a setting that cannot be used is named: ${JSON.stringify(environment)}`, () => {
    assert.throws(
      () => parseSettings(environment),
      (error: unknown) => error instanceof SettingsError && message.test(error.message),
    );
  });
}

test("a hub may be any https address, and on this machine an http one", () => {
  for (const SLUICE_HUB of [
    "https://mirror.example.org",
    "http://localhost:9/hub",
    "http://127.8.0.1:9",
    "http://[::1]:9",
  ])
    assert.equal(parseSettings({ SLUICE_HUB }).hubUrl, SLUICE_HUB);
});

test("every setting has one row, one variable with the prefix, and a sentence of help", () => {
  const names = SETTINGS.map((row) => row.name);
  assert.equal(new Set(names).size, names.length);
  const settings = parseSettings({});
  assert.deepEqual([...names, "modelSettings"].sort(), Object.keys(settings).sort());
  for (const row of SETTINGS) {
    assert.match(row.variable, /^SLUICE_[A-Z_]+$/);
    assert.match(row.help, /\.( Unset: .*)?$|\.$/);
  }
});
