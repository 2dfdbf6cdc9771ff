import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Clock, systemClock } from "../clock.ts";
import type { Database } from "../database/database.ts";
import { migrateDatabase } from "../database/migrate-database.ts";
import { openSqliteDatabase } from "../database/sqlite-database.ts";
import { createAccountId } from "../ids.ts";
import { silentLogger } from "../logger.ts";
import { createKeyStore } from "./create-key-store.ts";

async function withDatabase(work: (database: Database) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-keys-"));
  try {
    await using database = await openSqliteDatabase({
      path: join(folder, "test.db"),
      clock: systemClock,
      logger: silentLogger,
    });
    await migrateDatabase(database);
    await work(database);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function splitCredential(credential: string): [string, string] {
  const [id = "", secret = ""] = credential.split(":");
  return [id, secret];
}

test("a new key is a UUID and 32 hexadecimal digits, and it verifies", async () => {
  await withDatabase(async (database) => {
    await using keys = createKeyStore({ database, clock: systemClock });
    assert.equal(await keys.isEmpty(), true);
    const { key, credential } = await keys.create({ alias: "first", scope: "ADMIN" });
    assert.match(credential, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}:[0-9a-f]{32}$/);
    assert.equal(await keys.isEmpty(), false);
    const verified = await keys.verify(...splitCredential(credential));
    assert.deepEqual({ ...verified }, { ...key });
    assert.equal(verified?.scope, "ADMIN");
  });
});

test("a wrong secret of any length, an unknown id and text that is no id are refused", async () => {
  await withDatabase(async (database) => {
    await using keys = createKeyStore({ database, clock: systemClock });
    const [id, secret] = splitCredential((await keys.create({ alias: "a", scope: "API" })).credential);
    const flipped = secret.slice(0, -1) + (secret.endsWith("0") ? "1" : "0");
    for (const wrong of [
      flipped,
      "",
      secret.slice(0, 31),
      `${secret}0`,
      `${secret.toUpperCase()} `,
      "é".repeat(99),
    ])
      assert.equal(await keys.verify(id, wrong), undefined, JSON.stringify(wrong));
    for (const other of ["00000000-0000-7000-8000-000000000000", "", "'; DROP TABLE keys; --", "%"])
      assert.equal(await keys.verify(other, secret), undefined, JSON.stringify(other));
    assert.ok(await keys.verify(id, secret));
  });
});

test("the database holds no secret, only its SHA-256", async () => {
  await withDatabase(async (database) => {
    await using keys = createKeyStore({ database, clock: systemClock });
    const [, secret] = splitCredential((await keys.create({ alias: "a", scope: "API" })).credential);
    const rows = await database.read((tx) => tx.all<{ secret_hash: string }>("SELECT * FROM keys"));
    assert.equal(JSON.stringify(rows).includes(secret), false);
    assert.match(rows[0]!.secret_hash, /^[0-9a-f]{64}$/);
  });
});

test("a revoked key is refused at once, also one that was used before and while it is being read", async () => {
  await withDatabase(async (database) => {
    await using keys = createKeyStore({ database, clock: systemClock });
    const [id, secret] = splitCredential((await keys.create({ alias: "a", scope: "API" })).credential);
    assert.ok(await keys.verify(id, secret));
    assert.equal(await keys.revoke(id), true);
    assert.equal(await keys.verify(id, secret), undefined);
    assert.equal(await keys.revoke(id), false);
    assert.notEqual((await keys.find(id))?.revokedAt, null);

    const [other, otherSecret] = splitCredential(
      (await keys.create({ alias: "b", scope: "API" })).credential,
    );
    const racing = keys.verify(other, otherSecret);
    await keys.revoke(other);
    await racing;
    assert.equal(await keys.verify(other, otherSecret), undefined);
  });
});

test("name and limits of a key change at once, also of one that is in memory and while it is being read", async () => {
  await withDatabase(async (database) => {
    await using keys = createKeyStore({ database, clock: systemClock });
    const { key, credential } = await keys.create({ alias: "a", scope: "API", limits: { queued: 5 } });
    const [id, secret] = splitCredential(credential);
    assert.ok(await keys.verify(id, secret));
    const limits = { concurrency: 2, requestsPerDay: 100 };
    assert.deepEqual((await keys.update(id, { limits }))?.limits, limits);
    assert.deepEqual((await keys.verify(id, secret))?.limits, limits);
    const renamed = await keys.update(id, { alias: "b" });
    assert.deepEqual([renamed?.alias, renamed?.limits], ["b", limits]);
    const racing = [keys.find(id), keys.update(id, { limits: {} }), keys.find(id)];
    await Promise.all(racing);
    assert.deepEqual((await keys.find(id))?.limits, {});
    assert.deepEqual(await keys.update(id, {}), await keys.find(id));
    await keys.revoke(key.id);
    assert.equal(await keys.update(id, { alias: "c" }), undefined);
    assert.equal((await keys.find(id))?.alias, "b");
    for (const unknown of ["00000000-0000-7000-8000-000000000000", "", "'; --"])
      assert.equal(await keys.update(unknown, { alias: "c" }), undefined);
  });
});

test("a key works after a restart, with its limits, account and last use", async () => {
  await withDatabase(async (database) => {
    const limits = { concurrency: 2, queued: 5 };
    let now = 1_000_000;
    const clock: Clock = { ...systemClock, now: () => now };
    let credential = "";
    {
      await using keys = createKeyStore({ database, clock });
      credential = (await keys.create({ alias: "a", scope: "API", limits })).credential;
      await keys.verify(...splitCredential(credential));
      now += 5_000;
      await keys.verify(...splitCredential(credential));
    }
    await using keys = createKeyStore({ database, clock });
    const found = await keys.find(splitCredential(credential)[0]);
    assert.deepEqual(found?.limits, limits);
    assert.equal(found?.lastUsedAt, 1_005_000);
    assert.ok(await keys.verify(...splitCredential(credential)));
  });
});

test("use of a key is written at most once a minute", async () => {
  await withDatabase(async (database) => {
    let now = 1_000_000;
    const clock: Clock = { ...systemClock, now: () => now };
    await using keys = createKeyStore({ database, clock });
    const [id, secret] = splitCredential((await keys.create({ alias: "a", scope: "API" })).credential);
    const readStored = async (): Promise<number | null | undefined> =>
      (await database.read((tx) => tx.get<{ at: number | null }>("SELECT last_used_at AS at FROM keys")))?.at;
    await keys.verify(id, secret);
    await waitUntil(async () => (await readStored()) === 1_000_000);
    now += 59_000;
    for (let i = 0; i < 100; i++) await keys.verify(id, secret);
    assert.equal(await readStored(), 1_000_000);
    assert.equal((await keys.find(id))?.lastUsedAt, 1_059_000);
    now += 2_000;
    await keys.verify(id, secret);
    await waitUntil(async () => (await readStored()) === 1_061_000);
  });
});

test("an API key has an account of its own unless one is named; ADMIN keys share the server's", async () => {
  await withDatabase(async (database) => {
    await using keys = createKeyStore({ database, clock: systemClock });
    const api = (await keys.create({ alias: "api", scope: "API" })).key;
    const first = (await keys.create({ alias: "a", scope: "ADMIN" })).key;
    const second = (await keys.create({ alias: "b", scope: "ADMIN" })).key;
    assert.equal(first.accountId, second.accountId);
    assert.notEqual(api.accountId, first.accountId);
    assert.deepEqual(await keys.findAccount(first.accountId), { id: first.accountId, nickname: "local" });
    const accountId = createAccountId();
    const third = (await keys.create({ alias: "c", scope: "API", accountId })).key;
    const fourth = (await keys.create({ alias: "d", scope: "API", accountId })).key;
    assert.equal(third.accountId, accountId);
    assert.equal(fourth.accountId, accountId);
    assert.equal((await keys.findAccount(accountId))?.nickname, `account-${accountId}`);
    assert.equal(await keys.findAccount(createAccountId()), undefined);
  });
});

test("keys are listed newest first, in pages, without revoked ones, and by account", async () => {
  await withDatabase(async (database) => {
    await using keys = createKeyStore({ database, clock: systemClock });
    const made = [];
    const own = createAccountId();
    for (let i = 0; i < 5; i++)
      made.push((await keys.create({ alias: `k${i}`, scope: "API", accountId: own })).key);
    await keys.create({ alias: "other", scope: "API", accountId: createAccountId() });
    await keys.revoke(made[2]!.id);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await keys.list({
        accountId: made[0]!.accountId,
        limit: 2,
        ...(cursor === null ? {} : { cursor }),
      });
      assert.ok(page.keys.length <= 2);
      seen.push(...page.keys.map((key) => key.alias));
      cursor = page.nextCursor;
    } while (cursor !== null);
    assert.deepEqual(seen, ["k4", "k3", "k1", "k0"]);
    assert.equal((await keys.list({ limit: 100 })).keys.length, 5);
  });
});

async function waitUntil(isTrue: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (await isTrue()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail("it did not happen within two seconds");
}
