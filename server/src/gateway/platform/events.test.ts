import assert from "node:assert/strict";
import { test } from "node:test";
import { createRequestId, type RequestId } from "../../ids.ts";
import { createNotices } from "../events/notices.ts";
import { TabStream } from "../events/tab-stream.ts";
import { readEvents } from "../testing/read-events.ts";
import { openPlatform, type TestPlatform } from "./testing/open-platform.ts";

const timeout = 30_000;

test("a tab is told of its own account's requests, the operator of everybody's", { timeout }, async () => {
  await using platform = await openPlatform();
  await using mine = await listen(platform);
  await using operators = await listen(platform, { authorization: platform.admin });
  const { live } = platform.gateway.context;
  const theirs = await platform.record({ accountId: platform.otherAccountId, keyId: null });
  const own = await platform.record();
  const endpointId = "test/echo";
  const tell = (requestId: RequestId, accountId: TestPlatform["accountId"]): void =>
    live.publish({ type: "changed", requestId, accountId, endpointId, state: "succeeded" });
  tell(theirs, platform.otherAccountId);
  tell(own, platform.accountId);
  const notice = (id: string) => ({
    type: "request",
    request_id: id,
    endpoint_id: endpointId,
    state: "succeeded",
  });
  assert.deepEqual(await mine.next(), notice(own));
  assert.deepEqual([await operators.next(), await operators.next()], [notice(theirs), notice(own)]);
});

test("a watched request's status, logs, steps and previews come over the same stream", {
  timeout,
}, async () => {
  await using platform = await openPlatform();
  const { live } = platform.gateway.context;
  const id = await platform.enqueue();
  await using tab = await listen(platform, { query: `?watch=${id}` });
  const queued = await tab.next();
  assert.deepEqual(
    [queued.type, queued.request_id, queued.status, queued.queue_position],
    ["status", id, "IN_QUEUE", 0],
  );
  live.publish({ type: "progress", requestId: id, at: 0, progress: { phase: "denoise", step: 2, steps: 4 } });
  assert.deepEqual(await tab.next(), {
    type: "progress",
    request_id: id,
    phase: "denoise",
    step: 2,
    steps: 4,
  });
  const bytes = Buffer.from("picture");
  const picture = { image: 0, step: 2, width: 8, height: 4 };
  live.publish({ type: "preview", requestId: id, bytes, contentType: "image/png", ...picture });
  const url = `data:image/png;base64,${bytes.toString("base64")}`;
  assert.deepEqual(await tab.next(), { type: "preview", request_id: id, ...picture, url });
  const lease = await platform.gateway.lease();
  const data = { message: "half way", level: "INFO" };
  await platform.queue.appendEvents(lease, [{ kind: "log", at: Date.now(), data }]);
  await platform.gateway.complete(lease);
  const seen: { status: string; logs: { message: string }[] | null }[] = [];
  do seen.push(await tab.nextOf("status"));
  while (seen.at(-1)?.status !== "COMPLETED");
  assert.deepEqual(
    seen.flatMap(({ logs }) => logs ?? []).map(({ message }) => message),
    ["half way"],
  );
});

test("what a tab watches is changed by its own caller, and is of its own account only", {
  timeout,
}, async () => {
  await using platform = await openPlatform();
  const [first, second] = [await platform.enqueue(), await platform.enqueue()];
  const theirs = await platform.enqueue({ accountId: platform.otherAccountId, keyId: null });
  await using tab = await listen(platform);
  const { live } = platform.gateway.context;
  const path = `/v1/sluice/events/${tab.hello.stream_id}`;
  const put = (json: unknown, authorization?: string) =>
    platform.call(path, { method: "PUT", json, ...(authorization === undefined ? {} : { authorization }) });
  assert.deepEqual((await put({ watch: [first, theirs, "x", ""] })).json, { watching: [first] });
  assert.equal((await tab.nextOf("status")).request_id, first);
  assert.ok(live.hasPreviewListener(first) && !live.hasPreviewListener(theirs));
  assert.deepEqual((await put({ watch: [second] })).json, { watching: [second] });
  assert.ok(live.hasPreviewListener(second) && !live.hasPreviewListener(first));
  assert.equal((await put({ watch: [second] }, platform.other)).status, 404);
  assert.equal((await put({ watch: [second] }, platform.admin)).status, 404);
  assert.equal((await put({ watch: "all" })).status, 400);
  const many = Array.from({ length: 51 }, (_, index) => `${first.slice(0, -2)}${10 + index}`);
  assert.equal((await put({ watch: many })).status, 400);
  await tab[Symbol.asyncDispose]();
  while (live.hasPreviewListener(second)) await new Promise((resolve) => setTimeout(resolve, 5));
  assert.equal((await put({ watch: [] })).status, 404);
});

test("a tab that comes back is told what it missed, or that it missed something", { timeout }, async () => {
  await using platform = await openPlatform();
  const { live } = platform.gateway.context;
  const { accountId } = platform;
  const tell = (requestId: RequestId, state: string): void =>
    live.publish({ type: "changed", requestId, accountId, endpointId: "test/echo", state });
  const [first, second] = [await platform.record(), await platform.record()];
  const tab = await listen(platform);
  assert.equal(tab.hello.has_gap, false);
  tell(first, "queued");
  assert.equal((await tab.next()).request_id, first);
  const lastEventId = tab.lastId();
  await tab[Symbol.asyncDispose]();
  tell(second, "running");
  await using back = await listen(platform, { lastEventId });
  assert.equal(back.hello.has_gap, false);
  assert.equal((await back.next()).request_id, second);
  await using stranger = await listen(platform, { lastEventId: lastEventId.replace(/^.{8}/, "00000000") });
  assert.equal(stranger.hello.has_gap, true);
  for (let count = 0; count < 2_001; count++) tell(first, "running");
  await using late = await listen(platform, { lastEventId });
  assert.equal(late.hello.has_gap, true);
});

test("the id of an event stands for what was sent with it, so that a break costs nothing", {
  timeout,
}, async () => {
  await using platform = await openPlatform();
  const notices = createNotices(platform.gateway.context.live);
  const caller = { accountId: platform.accountId, keyId: null, scope: "API", credential: "key" } as const;
  const tell = (state: string): void =>
    notices.publish(
      { type: "request", request_id: createRequestId(0), endpoint_id: "test/echo", state },
      platform.accountId,
    );
  const parts = platform.gateway.context;
  let now = 0;
  let onCheck = (): void => {};
  const open = (lastEventId: string) =>
    new TabStream({ ...parts, clock: { ...parts.clock, monotonic: () => (now += 5_000) } }, notices, {
      id: "tab",
      caller,
      queueUrl: "",
      lastEventId,
      isStillAllowed: async () => {
        onCheck();
        return true;
      },
    }).produce(new AbortController().signal);
  const readId = (text: string | undefined): string => /^id: (.*)$/m.exec(text ?? "")?.[1] ?? "";
  const states = (text: string | undefined): string[] =>
    [...(text ?? "").matchAll(/"state":"(\w+)"/g)].map(([, state = ""]) => state);

  const first = open("");
  const start = readId((await first.next()).value as string);
  tell("queued");
  tell("waiting");
  onCheck = () => tell("running");
  const sent = (await first.next()).value as string;
  onCheck = () => {};
  assert.deepEqual(states(sent), ["queued", "waiting"]);
  assert.ok(sent.indexOf("id: ") > sent.indexOf("queued"), "a break between them would lose the second");
  await first.return();

  const afterBreak = open(readId(sent));
  await afterBreak.next();
  assert.deepEqual(states((await afterBreak.next()).value as string), ["running"]);
  await afterBreak.return();

  const brokenAtHello = open(start);
  const hello = readId((await brokenAtHello.next()).value as string);
  await brokenAtHello.return();
  const again = open(hello);
  await again.next();
  assert.deepEqual(states((await again.next()).value as string), ["queued", "waiting", "running"]);
  await again.return();
});

test("the stream of a revoked key ends", { timeout }, async () => {
  await using platform = await openPlatform();
  const made = await platform.call("/v1/keys", { json: { alias: "x" }, authorization: platform.admin });
  await using tab = await listen(platform, { authorization: `Key ${made.json.key}` });
  await platform.call(`/v1/keys/${made.json.key_id}`, { method: "DELETE", authorization: platform.admin });
  assert.equal(await tab.next(), undefined);
});

interface Listening extends AsyncDisposable {
  // biome-ignore lint/suspicious/noExplicitAny: events are read by path
  readonly hello: any;
  // biome-ignore lint/suspicious/noExplicitAny: events are read by path
  next(): Promise<any>;
  // biome-ignore lint/suspicious/noExplicitAny: events are read by path
  nextOf(type: string): Promise<any>;
  lastId(): string;
}

async function listen(
  platform: TestPlatform,
  options: { readonly authorization?: string; readonly query?: string; readonly lastEventId?: string } = {},
): Promise<Listening> {
  const stop = new AbortController();
  const response = await fetch(`${platform.gateway.origin}/v1/sluice/events${options.query ?? ""}`, {
    headers: {
      authorization: options.authorization ?? platform.mine,
      ...(options.lastEventId === undefined ? {} : { "last-event-id": options.lastEventId }),
    },
    signal: stop.signal,
  });
  assert.equal(response.status, 200);
  let ids = "";
  const [one, other] = (response.body ?? new ReadableStream()).tee();
  const noting = (async () => {
    for await (const chunk of one.pipeThrough(new TextDecoderStream())) ids += chunk;
  })().catch(() => {});
  const events = readEvents(new Response(other));
  const next = async () => (await events.next().catch(() => ({ value: undefined }))).value;
  const hello = await next();
  assert.equal(hello.type, "hello");
  return {
    hello,
    next,
    async nextOf(type) {
      for (;;) {
        const event = await next();
        if (event === undefined || event.type === type) return event;
      }
    },
    lastId: () => [...ids.matchAll(/^id: (.*)$/gm)].at(-1)?.[1] ?? "",
    async [Symbol.asyncDispose]() {
      stop.abort();
      await noting;
    },
  };
}
