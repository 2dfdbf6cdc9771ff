import { createHash } from "node:crypto";
import type { CatalogEntry } from "../../catalog/catalog.ts";
import { type AccountId, createRequestId, parseRequestId, type RequestId } from "../../ids.ts";
import type { RequestRecord } from "../../queue/request-queue.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import { createSampleInput, fillSampleInput } from "../documents/sample-input.ts";
import { describeTarget, findEndpoint } from "../find-endpoint.ts";
import { readRequestOptions } from "../request-options.ts";
import { readPayloads } from "./read-payloads.ts";

/** A sample that failed, or is gone, is not made again sooner. */
const AGAIN_MS = 3_600_000;

/**
 * `GET /v1/sluice/samples`: what each endpoint's model made on this server from the sample input of its page; public.
 * When an operator looks, one that is missing is put into the queue behind everybody's requests, one at a time, and once
 * for each version of a model: nobody waits for it. An endpoint that takes a picture is given one that another made.
 */
export function addSampleRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { catalog, clock, database, live, queue, logger } = context;
  let making: Promise<void> = Promise.resolve();

  app.get("/sluice/samples", async (c) => {
    const caller = await tools.findCaller(c.env);
    if (caller?.scope === "ADMIN") {
      // One after the other: two that look at once see the same one missing.
      making = making.catch(() => {}).then(() => makeMissing(caller.accountId, c.env.urls.files));
      await making;
    }
    const samples = await findSamples();
    return tools.respond.json(200, {
      samples: await Promise.all(samples.map((sample) => format(sample, c.env.urls.files))),
    });
  });

  async function makeMissing(accountId: AccountId, filesBase: string): Promise<void> {
    const samples = await findSamples();
    if (samples.some(({ request }) => isUnfinished(request))) return;
    const missing = samples.filter((sample) => mayMake(sample));
    const picture = missing.length === 0 ? undefined : await findPicture(samples, filesBase);
    for (const sample of missing) if (await make(sample, picture, accountId)) return;
  }

  async function findSamples(): Promise<readonly Found[]> {
    const rows = await findRows();
    const samples: Found[] = [];
    for (const entry of catalog.list()) samples.push(await findSample(entry, rows));
    return samples;
  }

  interface Row {
    readonly request_id: string;
    readonly made_at: number;
  }
  interface Found {
    readonly entry: CatalogEntry;
    readonly madeAt: number | undefined;
    readonly request: RequestRecord | undefined;
  }

  async function findRows(): Promise<ReadonlyMap<string, Row>> {
    const rows = await database.read((tx) =>
      tx.all<Row & { endpoint_id: string; model_version: string }>(
        "SELECT endpoint_id, model_version, request_id, made_at FROM samples",
      ),
    );
    return new Map(rows.map((row) => [`${row.endpoint_id} ${row.model_version}`, row]));
  }

  async function findSample(entry: CatalogEntry, rows: ReadonlyMap<string, Row>): Promise<Found> {
    const row = rows.get(`${entry.endpointId} ${describeVersion(entry)}`);
    const id = parseRequestId(row?.request_id ?? "");
    return {
      entry,
      madeAt: row === undefined ? undefined : Number(row.made_at),
      request: id === undefined ? undefined : await queue.find(id),
    };
  }

  function mayMake({ madeAt, request }: Found): boolean {
    if (request?.state === "succeeded") return false;
    return madeAt === undefined || clock.now() - madeAt > AGAIN_MS;
  }

  /** URL of a picture that a model here made of words. */
  async function findPicture(samples: readonly Found[], filesBase: string): Promise<string | undefined> {
    for (const { entry, request } of samples) {
      if (request?.state !== "succeeded" || !entry.manifest.category.startsWith("text-to-")) continue;
      const url = findPictureUrl((await readPayloads(queue, request.id, filesBase)).json_output);
      if (url !== undefined) return url;
    }
    return undefined;
  }

  /** True when it was put into the queue. */
  async function make({ entry }: Found, picture: string | undefined, accountId: AccountId): Promise<boolean> {
    const found = findEndpoint(catalog, entry.endpointId);
    const filled = fillSampleInput(entry, picture);
    if (found.kind !== "endpoint" || filled === undefined) return false;
    const input = Buffer.from(JSON.stringify(filled));
    if (!entry.validateInput(input).ok) return false;
    const now = clock.now();
    const id = createRequestId(now);
    const url = new URL("http://sample.invalid/");
    const read = readRequestOptions(new Request(url, { method: "POST" }), url, now);
    if (read.kind !== "options") return false;
    const outcome = await queue.enqueue({
      ...read.options,
      ...describeTarget(found),
      id,
      accountId,
      keyId: null,
      surface: "queue",
      priority: "low",
      tags: { sample: "true" },
      input,
      createdAt: now,
    });
    if (outcome.kind !== "enqueued") return false;
    await remember(entry, id, now);
    live.wake(entry.endpointId);
    live.publish({
      type: "changed",
      requestId: id,
      accountId,
      endpointId: entry.endpointId,
      state: "queued",
    });
    logger.info({ endpointId: entry.endpointId, requestId: id }, "a sample is made");
    return true;
  }

  async function remember(entry: CatalogEntry, id: RequestId, now: number): Promise<void> {
    await database.transaction((tx) =>
      tx.run(
        `INSERT INTO samples (endpoint_id, model_version, request_id, made_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (endpoint_id, model_version) DO UPDATE
         SET request_id = excluded.request_id, made_at = excluded.made_at`,
        [entry.endpointId, describeVersion(entry), id, Math.round(now)],
      ),
    );
  }

  async function format(
    { entry, request }: Found,
    filesBase: string,
  ): Promise<Readonly<Record<string, unknown>>> {
    const isReady = request?.state === "succeeded";
    const payloads = isReady ? await readPayloads(queue, request.id, filesBase) : {};
    const state = describeState(request, payloads.json_output !== undefined);
    return {
      endpoint_id: entry.endpointId,
      state,
      request_id: state === "none" ? null : (request?.id ?? null),
      input: payloads.json_input ?? null,
      output: payloads.json_output ?? null,
      inference_time: isReady ? request.inferenceSeconds : null,
    };
  }
}

function describeState(
  request: RequestRecord | undefined,
  hasOutput: boolean,
): "none" | "making" | "ready" | "failed" {
  if (request === undefined) return "none";
  if (isUnfinished(request)) return "making";
  if (request.state !== "succeeded") return "failed";
  return hasOutput ? "ready" : "none";
}

function isUnfinished(request: RequestRecord | undefined): boolean {
  return request?.state === "queued" || request?.state === "running";
}

function findPictureUrl(output: unknown): string | undefined {
  if (typeof output !== "object" || output === null) return undefined;
  const { url, content_type: type } = output as { readonly url?: unknown; readonly content_type?: unknown };
  if (typeof url === "string" && typeof type === "string" && type.startsWith("image/")) return url;
  for (const member of Object.values(output)) {
    const found = findPictureUrl(member);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Changes when another model answers, or the same one is asked otherwise. */
function describeVersion(entry: CatalogEntry): string {
  const { name, version } = entry.manifest.model;
  const input = createHash("sha256")
    .update(JSON.stringify(createSampleInput(entry)))
    .digest("hex");
  return `${name}@${version} ${input.slice(0, 12)}`;
}
