import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { NewFile, StoredFile } from "../../files/file-store.ts";
import type { RequestId } from "../../ids.ts";
import { openPlatform, type TestPlatform } from "./testing/open-platform.ts";

const timeout = 30_000;
let platform: TestPlatform;
before(async () => {
  platform = await openPlatform();
});
after(() => platform[Symbol.asyncDispose]());

function make(fields: Partial<NewFile> = {}, content = "bytes"): Promise<StoredFile> {
  return platform.gateway.context.files.create(
    {
      accountId: platform.accountId,
      requestId: null,
      fileName: "fox.png",
      contentType: "image/png",
      expiresAt: null,
      ...fields,
    },
    Buffer.from(content),
  );
}

const formatUrl = ({ path }: StoredFile): string => `${platform.gateway.origin}/cdn/${path}`;
const formatQuery = (fields: Readonly<Record<string, string>>): string => `${new URLSearchParams(fields)}`;

test("files are listed with all that is known of them, to their account and the operator", {
  timeout,
}, async () => {
  const requestId = await platform.record();
  const file = await make({
    fileName: "listed.png",
    requestId: requestId as RequestId,
    endpointId: "test/echo",
    width: 3,
    height: 2,
    expiresAt: Date.now() + 60_000,
  });
  const query = formatQuery({ q: "LISTED", kind: "output", media: "image", endpoint_id: "test/echo" });
  const { status, json } = await platform.call(`/v1/sluice/files?${query}`);
  assert.equal(status, 200);
  assert.deepEqual(json, {
    files: [
      {
        url: formatUrl(file),
        signed_url: null,
        file_name: "listed.png",
        content_type: "image/png",
        file_size: 5,
        kind: "output",
        account_id: platform.accountId,
        request_id: requestId,
        endpoint_id: "test/echo",
        created_at: new Date(file.createdAt).toISOString(),
        expires_at: new Date(file.expiresAt ?? 0).toISOString(),
        width: 3,
        height: 2,
      },
    ],
    next_cursor: null,
    has_more: false,
  });
  const admin = await platform.call(`/v1/sluice/files?${query}`, { authorization: platform.admin });
  assert.equal(admin.json.files.length, 1);
  const other = await platform.call("/v1/sluice/files", { authorization: platform.other });
  assert.deepEqual(other.json.files, []);
});

test("pages hold each file once; a wrong filter is named", { timeout }, async () => {
  for (let n = 0; n < 5; n++) await make({ fileName: `paged-${n}.txt`, contentType: "text/plain" });
  const seen: string[] = [];
  let cursor = "";
  do {
    const { json } = await platform.call(
      `/v1/sluice/files?${formatQuery({ q: "paged", limit: "2", cursor })}`,
    );
    for (const file of json.files) seen.push(file.file_name);
    cursor = json.next_cursor ?? "";
  } while (cursor !== "");
  assert.deepEqual(seen, ["paged-4.txt", "paged-3.txt", "paged-2.txt", "paged-1.txt", "paged-0.txt"]);
  for (const [name, value] of [
    ["kind", "input"],
    ["media", "picture"],
    ["expires", "soon"],
    ["expires_before", "tomorrow"],
    ["limit", "501"],
    ["cursor", "nonsense"],
    ["request_id", "1"],
    ["q", "x".repeat(201)],
  ] as const) {
    const { status, json } = await platform.call(`/v1/sluice/files?${formatQuery({ [name]: value })}`);
    assert.equal(status, 400, name);
    assert.match(json.error.message, new RegExp(name === "cursor" ? "cursor" : `"${name}"`));
  }
});

test("a file that is not public is listed with a link that reads it", { timeout }, async () => {
  await make({ fileName: "hidden.png", acl: { default: "hide", rules: [] } }, "secret");
  const { json } = await platform.call(`/v1/sluice/files?q=hidden`);
  const [{ url, signed_url: signed }] = json.files;
  assert.equal((await fetch(url)).status, 404);
  assert.equal(await (await fetch(signed)).text(), "secret");
});

test("files are deleted, many at once, and only one's own", { timeout }, async () => {
  const mine = await make();
  const gone = await make();
  await platform.gateway.context.files.remove(gone.path);
  const theirs = await make({ accountId: platform.otherAccountId });
  const urls = [mine, gone, theirs].map(formatUrl);
  const { status, json } = await platform.call("/v1/sluice/files/delete", { json: { urls } });
  assert.equal(status, 200);
  assert.deepEqual(json, { deleted: 1, missing: urls.slice(1) });
  assert.equal((await fetch(formatUrl(mine))).status, 404);
  assert.equal((await fetch(formatUrl(theirs))).status, 200);
  const again = await platform.call("/v1/sluice/files/delete", {
    json: { urls: [formatUrl(theirs)] },
    authorization: platform.admin,
  });
  assert.equal(again.json.deleted, 1);
  for (const wrong of [undefined, [], "x", [1], Array.from({ length: 1001 }, () => "x")]) {
    const refused = await platform.call("/v1/sluice/files/delete", { json: { urls: wrong } });
    assert.equal(refused.status, 400);
    assert.match(refused.json.error.message, /"urls" must/);
  }
});

test("a file's expiry is set and taken away again", { timeout }, async () => {
  const file = await make();
  const theirs = await make({ accountId: platform.otherAccountId });
  const urls = [formatUrl(file), formatUrl(theirs)];
  const set = await platform.call("/v1/sluice/files/expiry", { json: { urls, expires_in_seconds: 3600 } });
  assert.equal(set.status, 200);
  assert.deepEqual(set.json.missing, [formatUrl(theirs)]);
  const expiresAt = Date.parse(set.json.files[0].expires_at);
  assert.ok(Math.abs(expiresAt - Date.now() - 3_600_000) < 60_000);
  assert.equal((await platform.gateway.context.files.find(file.path))?.expiresAt, expiresAt);
  const never = await platform.call("/v1/sluice/files/expiry", { json: { urls, expires_in_seconds: null } });
  assert.equal(never.json.files[0].expires_at, null);
  for (const wrong of [undefined, 0, -1, 1.5, "3600", 1e12]) {
    const refused = await platform.call("/v1/sluice/files/expiry", {
      json: { urls, expires_in_seconds: wrong },
    });
    assert.equal(refused.status, 400);
    assert.match(refused.json.error.message, /"expires_in_seconds" must/);
  }
});

test("many files are one download by a link that needs no key", { timeout }, async () => {
  const [one, two] = [await make({}, "first file"), await make({}, "second file")];
  const theirs = await make({ accountId: platform.otherAccountId }, "not yours");
  const urls = [one, two, theirs].map(formatUrl);
  const { status, json } = await platform.call("/v1/sluice/files/archives", { json: { urls } });
  assert.equal(status, 201);
  assert.equal(json.files, 2);
  assert.deepEqual(json.missing, [formatUrl(theirs)]);
  const response = await fetch(json.url);
  assert.equal(response.headers.get("content-type"), "application/zip");
  assert.match(
    response.headers.get("content-disposition") ?? "",
    /^attachment; filename="files-[\d-]+\.zip"$/,
  );
  const zip = await response.text();
  assert.equal(response.headers.get("content-length"), String(Buffer.byteLength(zip, "latin1")));
  for (const part of ["fox.png", "first file", "fox-2.png", "second file"]) assert.ok(zip.includes(part));
  assert.ok(!zip.includes("not yours"));
  const head = await fetch(json.url, { method: "HEAD" });
  assert.equal(head.headers.get("content-length"), response.headers.get("content-length"));
  await platform.call("/v1/sluice/files/delete", { json: { urls } });
  assert.equal((await fetch(json.url)).status, 404);
  const none = await platform.call("/v1/sluice/files/archives", { json: { urls } });
  assert.equal(none.status, 404);
});
