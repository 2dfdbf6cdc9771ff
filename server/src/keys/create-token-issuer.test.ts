import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { decodeJwt, decodeProtectedHeader, SignJWT } from "jose";
import { type Clock, systemClock } from "../clock.ts";
import { migrateDatabase } from "../database/migrate-database.ts";
import { openSqliteDatabase } from "../database/sqlite-database.ts";
import { silentLogger } from "../logger.ts";
import type { Caller } from "./caller.ts";
import { createKeyStore } from "./create-key-store.ts";
import { createTokenIssuer } from "./create-token-issuer.ts";
import type { KeyStore } from "./key-store.ts";
import type { TokenIssuer } from "./token-issuer.ts";

interface Setup {
  readonly keys: KeyStore;
  readonly tokens: TokenIssuer;
  readonly caller: Caller;
  /** Another issuer on the same database, as after a restart. */
  readonly reopen: () => Promise<TokenIssuer>;
  readonly moveClock: (ms: number) => void;
}

async function withIssuer(work: (setup: Setup) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-tokens-"));
  let now = Date.now();
  const clock: Clock = { ...systemClock, now: () => now };
  try {
    await using database = await openSqliteDatabase({
      path: join(folder, "test.db"),
      clock: systemClock,
      logger: silentLogger,
    });
    await migrateDatabase(database);
    await using keys = createKeyStore({ database, clock });
    const { key } = await keys.create({ alias: "a", scope: "ADMIN" });
    const caller: Caller = {
      accountId: key.accountId,
      keyId: key.id,
      scope: key.scope,
      credential: "key",
    };
    const reopen = (): Promise<TokenIssuer> => createTokenIssuer({ database, keys, clock });
    const moveClock = (ms: number): void => {
      now += ms;
    };
    await work({ keys, tokens: await reopen(), caller, reopen, moveClock });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test("a runtime token names the account, the key and the apps, and never more than scope API", async () => {
  await withIssuer(async ({ tokens, caller }) => {
    const token = await tokens.issueRuntimeToken(caller, ["flux-pro", "acme/shout"], 120);
    assert.deepEqual(await tokens.verify(token), {
      accountId: caller.accountId,
      keyId: caller.keyId,
      scope: "API",
      credential: "token",
      apps: ["flux-pro", "acme/shout"],
    });
    const claims = decodeJwt(token);
    assert.equal(claims["scope"], "runtime");
    assert.equal(claims.sub, caller.accountId);
    assert.equal(claims.exp! - claims.iat!, 120);
    assert.equal(decodeProtectedHeader(token).alg, "HS256");
    assert.ok(decodeProtectedHeader(token).kid);
  });
});

test("a token ends 30 seconds after its expiry, and lives an hour at most", async () => {
  await withIssuer(async ({ tokens, caller, moveClock }) => {
    const short = await tokens.issueRuntimeToken(caller, ["a"], 120);
    const long = await tokens.issueRuntimeToken(caller, ["a"], 1e9);
    moveClock(140_000);
    assert.ok(await tokens.verify(short));
    moveClock(20_000);
    assert.equal(await tokens.verify(short), undefined);
    moveClock(3_400_000);
    assert.ok(await tokens.verify(long));
    moveClock(100_000);
    assert.equal(await tokens.verify(long), undefined);
  });
});

test("a token of a machine whose clock is ahead counts, and is over no later than its time", async () => {
  await withIssuer(async ({ tokens, caller, moveClock }) => {
    moveClock(90_000);
    const token = await tokens.issueRuntimeToken(caller, ["a"], 120);
    moveClock(-90_000);
    assert.ok(await tokens.verify(token));
    moveClock(235_000);
    assert.ok(await tokens.verify(token));
    moveClock(10_000);
    assert.equal(await tokens.verify(token), undefined);
  });
});

test("a CDN token says when it ends and is no runtime token", async () => {
  await withIssuer(async ({ tokens, caller }) => {
    const { token, expiresAt } = await tokens.issueCdnToken(caller, 3_600);
    assert.equal((await tokens.verify(token))?.credential, "cdn");
    assert.equal(decodeJwt(token).exp! * 1000, expiresAt);
    const { token: longest } = await tokens.issueCdnToken(caller, Number.MAX_SAFE_INTEGER);
    assert.equal(decodeJwt(longest).exp! - decodeJwt(longest).iat!, 30 * 86_400);
  });
});

test("revoking a key ends its tokens at once", async () => {
  await withIssuer(async ({ keys, tokens, caller }) => {
    const runtime = await tokens.issueRuntimeToken(caller, ["a"], 60);
    const cdn = await tokens.issueCdnToken(caller, 60);
    assert.ok(await tokens.verify(runtime));
    await keys.revoke(caller.keyId!);
    assert.equal(await tokens.verify(runtime), undefined);
    assert.equal(await tokens.verify(cdn.token), undefined);
  });
});

test("tokens and signatures hold after a restart", async () => {
  await withIssuer(async ({ tokens, caller, reopen }) => {
    const token = await tokens.issueRuntimeToken(caller, ["a"], 60);
    const expiresAt = Date.now() + 60_000;
    const signature = tokens.sign("upload", "files/b/1/x", expiresAt);
    const again = await reopen();
    assert.ok(await again.verify(token));
    assert.equal(again.verifySignature("upload", "files/b/1/x", expiresAt, signature), true);
  });
});

test("forged tokens are refused: other secret, no algorithm, changed claims, noise", async () => {
  await withIssuer(async ({ tokens, caller }) => {
    const good = await tokens.issueRuntimeToken(caller, ["a"], 60);
    const [header = "", payload = "", signature = ""] = good.split(".");
    const claims = decodeJwt(good);
    const forged = await new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256" })
      .sign(new TextEncoder().encode("some other secret of thirty-two b"));
    const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const none = `${encode({ alg: "none" })}.${payload}.`;
    const widened = `${header}.${encode({ ...claims, apps: ["*", "b"] })}.${signature}`;
    for (const token of [
      forged,
      none,
      widened,
      "",
      ".",
      "a.b.c",
      good.slice(0, -2),
      `${good}x.y`,
      "\0".repeat(50),
    ])
      assert.equal(await tokens.verify(token), undefined, token);
  });
});

test("a link's signature holds for its purpose, text and time only", async () => {
  await withIssuer(async ({ tokens, moveClock }) => {
    const expiresAt = Date.now() + 60_000;
    const signature = tokens.sign("read", "files/b/1/x", expiresAt);
    assert.equal(tokens.verifySignature("read", "files/b/1/x", expiresAt, signature), true);
    assert.equal(tokens.verifySignature("upload", "files/b/1/x", expiresAt, signature), false);
    assert.equal(tokens.verifySignature("read", "files/b/1/y", expiresAt, signature), false);
    assert.equal(tokens.verifySignature("read", "files/b/1/x", expiresAt + 1, signature), false);
    for (const wrong of ["", "AAAA", `A${signature.slice(1)}x`, "💥"])
      assert.equal(tokens.verifySignature("read", "files/b/1/x", expiresAt, wrong), false);
    moveClock(61_000);
    assert.equal(tokens.verifySignature("read", "files/b/1/x", expiresAt, signature), false);
  });
});
