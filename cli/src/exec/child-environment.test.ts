import assert from "node:assert/strict";
import { test } from "node:test";
import { createChildEnvironment, removeOwnPrograms } from "./child-environment.ts";
import { chooseKeys } from "./choose-keys.ts";
import { isOfficialHost } from "./official-hosts.ts";
import { matchesException } from "./upstream-proxy.ts";

function create(environment: Record<string, string>): Record<string, string | undefined> {
  return createChildEnvironment({
    environment,
    serverUrl: "http://10.0.0.7:7777",
    interceptor: { port: 4000, proxyUrl: "http://sluice:x@127.0.0.1:4000" },
    files: {
      authority: "/t/a.pem",
      bundle: "/t/b.pem",
      extraRoots: "/t/c.pem",
      preload: "/t/with space/r.cjs",
    },
    keys: {},
  });
}

test("the command keeps its own Node options and gets the preload after them", () => {
  assert.equal(create({})["NODE_OPTIONS"], '--require "/t/with space/r.cjs"');
  assert.equal(
    create({ NODE_OPTIONS: "--enable-source-maps" })["NODE_OPTIONS"],
    '--enable-source-maps --require "/t/with space/r.cjs"',
  );
});

test("exceptions from the proxy stay, except those for the official hosts", () => {
  assert.equal(create({})["NO_PROXY"], "127.0.0.1,localhost,10.0.0.7");
  assert.equal(
    create({ NO_PROXY: "corp.example, .fal.run,*,queue.fal.run:443" })["no_proxy"],
    "corp.example,127.0.0.1,localhost,10.0.0.7",
  );
});

test("an exception covers a name and what lies below it, on one port or on all", () => {
  const yes = ["*", "fal.run", ".fal.run", "*.fal.run", "queue.fal.run", "FAL.run:443"];
  const no = ["", "al.run", "fal.run:80", "other.example", "127.0.0.1"];
  for (const entry of yes) assert.equal(matchesException(entry, "queue.fal.run", 443), true, entry);
  for (const entry of no) assert.equal(matchesException(entry, "queue.fal.run", 443), false, entry);
  assert.equal(matchesException("[::1]:443", "::1", 443), true);
  assert.equal(matchesException("::1", "[::1]", 443), true);
});

test("a clone's own programs leave the path, an installed package's stay", () => {
  const path =
    "/c/sluice/node_modules/.bin:/c/sluice/cli/node_modules/.bin:/c/app/node_modules/.bin:/usr/bin";
  assert.equal(removeOwnPrograms(path, "/c/sluice/cli/src/exec"), "/c/app/node_modules/.bin:/usr/bin");
  assert.equal(removeOwnPrograms(path, "/c/app/node_modules/sluice/dist/exec"), path);
});

test("only the hosts that clients call are led here", () => {
  for (const host of ["fal.run", "queue.fal.run", "REST.alpha.fal.ai", "v3b.fal.media", "api.fal.ai."])
    assert.equal(isOfficialHost(host), true, host);
  for (const host of ["fal.ai", "evilfal.run", "a.b.fal.media", "fal.run.example", "run", ""])
    assert.equal(isOfficialHost(host), false, host);
});

test("every credential that the server does not know is replaced by the first key, and the others stay", async () => {
  const parts = {
    serverUrl: "http://s",
    firstKey: "first:secret",
    isKnown: async (key: string) => /^(first|ours):/.test(key),
  };
  const chosen = await chooseKeys({
    ...parts,
    environment: { FAL_KEY: "ours:1", FAL_API_KEY: "hosted:2", FAL_KEY_ID: "hosted", FAL_KEY_SECRET: "3" },
  });
  assert.deepEqual(chosen.variables, {
    FAL_API_KEY: "first:secret",
    FAL_KEY_ID: "first",
    FAL_KEY_SECRET: "secret",
  });
  assert.match(chosen.notes.join("\n"), /^FAL_API_KEY is not a key of http:\/\/s.*\nFAL_KEY_ID is not/);
  assert.deepEqual((await chooseKeys({ ...parts, environment: {} })).variables, { FAL_KEY: "first:secret" });
  await assert.rejects(
    chooseKeys({ ...parts, firstKey: undefined, environment: { FAL_KEY: "hosted:2" } }),
    /does not know the key in FAL_KEY/,
  );
});
