import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { test } from "node:test";
import { openTestStorage } from "../files/testing/open-test-storage.ts";
import { createWebhookSigningKeys, type WebhookJwk } from "./signing-keys.ts";

const DAY_MS = 86_400_000;
const message = Buffer.from("request\naccount\n1700000000\nhash");

function isSignedBy(jwk: WebhookJwk, signature: Uint8Array): boolean {
  return verify(null, message, createPublicKey({ key: { ...jwk }, format: "jwk" }), signature);
}

test("what is signed is verified by the published key, over a restart too", async () => {
  const first = await openTestStorage();
  const signature = await createWebhookSigningKeys(first).sign(message);
  assert.equal(signature.length, 64);
  await using second = await first.reopen();
  const keys = createWebhookSigningKeys(second);
  const jwks = await keys.getJwks();
  assert.equal(jwks.keys.length, 1);
  const [jwk] = jwks.keys;
  assert.ok(jwk !== undefined && isSignedBy(jwk, signature) && isSignedBy(jwk, await keys.sign(message)));
  assert.deepEqual(Object.keys(jwk).sort(), ["alg", "crv", "kid", "kty", "use", "x"]);
  assert.equal(Buffer.from(jwk.x, "base64url").length, 32);
});

test("many that ask at once at the first start get one key", async () => {
  await using storage = await openTestStorage();
  const all = await Promise.all(Array.from({ length: 5 }, () => createWebhookSigningKeys(storage).getJwks()));
  assert.equal(new Set(all.flatMap(({ keys }) => keys.map((key) => key.kid))).size, 1);
});

test("a new key is published a day before it signs, and the old one for a day after", async () => {
  await using storage = await openTestStorage();
  const { clock } = storage;
  const keys = createWebhookSigningKeys(storage);
  const [old] = (await keys.getJwks()).keys;
  assert.ok(old !== undefined);
  clock.advance(30 * DAY_MS);
  await keys.rotate();
  const [next, still, ...others] = (await keys.getJwks()).keys;
  assert.ok(next !== undefined && still?.kid === old.kid && others.length === 0);
  clock.advance(DAY_MS - 60_000);
  assert.ok(isSignedBy(old, await keys.sign(message)));
  clock.advance(2 * 60_000);
  assert.ok(isSignedBy(next, await keys.sign(message)));
  assert.equal((await keys.getJwks()).keys.length, 2);
  clock.advance(DAY_MS);
  assert.deepEqual((await keys.getJwks()).keys, [next]);
});
