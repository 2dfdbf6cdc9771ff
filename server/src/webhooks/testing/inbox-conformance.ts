import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestStorage } from "../../files/testing/open-test-storage.ts";
import type { AccountId } from "../../ids.ts";
import { createWebhookInbox, MAX_INBOX_BODY_BYTES, MAX_INBOX_DELIVERIES } from "../inbox.ts";

/** What an inbox must do, whatever database it stands on. @param open gives an empty one */
export function testWebhookInbox(open: () => Promise<TestStorage>): void {
  const mine = "11111111-1111-4111-8111-111111111111" as AccountId;
  const other = "22222222-2222-4222-8222-222222222222" as AccountId;
  const deliver = (text: string) => ({ headers: { "x-n": text }, body: Buffer.from(text) });

  test("each account has an inbox of its own, whose address stays", { timeout: 60_000 }, async () => {
    await using storage = await open();
    const inbox = createWebhookInbox(storage);
    const tokens = await Promise.all([mine, other, mine].map((account) => inbox.getToken(account)));
    assert.equal(tokens[0], tokens[2]);
    assert.notEqual(tokens[0], tokens[1]);
    assert.match(tokens[0] ?? "", /^[\w-]{43}$/);
    assert.equal(await inbox.findAccount(tokens[1] ?? ""), other);
    for (const wrong of ["x".repeat(43), "", "\0", `${tokens[0]}\0`])
      assert.equal(await inbox.findAccount(wrong), undefined);
    await inbox.receive(mine, deliver("a"));
    assert.deepEqual((await inbox.list(other, { limit: 10 })).deliveries, []);
  });

  test("the newest deliveries are kept, byte by byte, and paged", { timeout: 60_000 }, async () => {
    await using storage = await open();
    const inbox = createWebhookInbox(storage);
    const told: AccountId[] = [];
    inbox.onChange((account) => told.push(account));
    await inbox.receive(other, deliver("stays"));
    for (let n = 0; n < MAX_INBOX_DELIVERIES + 3; n++) await inbox.receive(mine, deliver(String(n)));
    assert.equal(told.length, MAX_INBOX_DELIVERIES + 4);
    const seen: string[] = [];
    let before: string | null = "";
    while (before !== null) {
      const page = await inbox.list(mine, { limit: 40, ...(before === "" ? {} : { before }) });
      seen.push(...page.deliveries.map(({ body }) => Buffer.from(body).toString()));
      before = page.nextCursor;
    }
    assert.equal(seen.length, MAX_INBOX_DELIVERIES);
    assert.deepEqual([seen[0], seen.at(-1)], [String(MAX_INBOX_DELIVERIES + 2), "3"]);
    const bytes = Buffer.alloc(MAX_INBOX_BODY_BYTES + 5, 0xff);
    await inbox.receive(mine, { headers: { a: "nul \0 in it", b: "x".repeat(9_000) }, body: bytes });
    const [long] = (await inbox.list(mine, { limit: 1 })).deliveries;
    assert.deepEqual([long?.body.byteLength, long?.sizeBytes], [MAX_INBOX_BODY_BYTES, bytes.byteLength]);
    assert.deepEqual(long?.headers, { a: "nul  in it" });
    await inbox.clear(mine);
    assert.deepEqual((await inbox.list(mine, { limit: 1 })).deliveries, []);
    assert.equal((await inbox.list(other, { limit: 1 })).deliveries.length, 1);
  });
}
