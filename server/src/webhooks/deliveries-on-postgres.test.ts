import assert from "node:assert/strict";
import { after, test } from "node:test";
import { openPostgresDatabase } from "../database/postgres-database.ts";
import { startTestPostgres } from "../database/testing/start-postgres.ts";
import { openTestStorage } from "../files/testing/open-test-storage.ts";
import { silentLogger } from "../logger.ts";
import { testWebhookInbox } from "./testing/inbox-conformance.ts";
import { openDeliveries } from "./testing/open-deliveries.ts";
import { startReceiver } from "./testing/start-receiver.ts";

const postgres = await startTestPostgres();
after(() => postgres[Symbol.asyncDispose]());

testWebhookInbox(async () => {
  const url = await postgres.createDatabase();
  return await openTestStorage({ openDatabase: () => openPostgresDatabase({ url, logger: silentLogger }) });
});

test("several machines on one PostgreSQL deliver each request once, and retry", {
  timeout: 60_000,
}, async () => {
  const url = await postgres.createDatabase();
  await using fixture = await openDeliveries({
    openDatabase: () => openPostgresDatabase({ url, logger: silentLogger }),
  });
  await using receiver = await startReceiver();
  const refused = new Set<string>();
  receiver.answer = ({ json }, response) => {
    const isFirst = !refused.has(json.request_id);
    refused.add(json.request_id);
    response.writeHead(isFirst && Number(json.payload.n) % 2 === 0 ? 500 : 200).end();
  };
  const ids: Parameters<typeof fixture.store.find>[0][] = [];
  for (let n = 0; n < 40; n++) {
    ids.push(await fixture.end(receiver.url, { body: Buffer.from(JSON.stringify({ n })) }));
  }
  await Promise.all([1, 2, 3].map(() => fixture.start({ isAlone: false })));
  for (const [n, id] of ids.entries()) {
    await fixture.waitForDelivery(id, ({ attempts, state }) =>
      n % 2 === 0 ? attempts.length === 1 && state === "owed" : state === "delivered",
    );
  }
  assert.equal(receiver.posted.length, 40);
  fixture.storage.clock.advance(5_000);
  for (const id of ids) {
    const { attempts } = await fixture.waitForDelivery(id, ({ state }) => state === "delivered");
    assert.equal(attempts.at(-1)?.status, 200);
  }
  assert.equal(receiver.posted.length, 60);
  assert.ok(await fixture.store.redeliver(ids[0]!));
  await fixture.waitForDelivery(
    ids[0]!,
    ({ attempts, state }) => attempts.length === 3 && state === "delivered",
  );
});
