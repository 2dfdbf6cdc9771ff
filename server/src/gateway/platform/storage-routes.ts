import { parseFileAcl } from "../../files/file-acl.ts";
import type { StoredFile } from "../../files/file-store.ts";
import { type FileLifecycle, LifecycleError, readLifecycle } from "../../files/lifecycle.ts";
import type { AccountId } from "../../ids.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import { parseFileUrl, signFileUrl } from "../cdn/file-urls.ts";
import type { GatewayContext } from "../context.ts";
import { PlatformError } from "./platform-error.ts";
import { readJson } from "./read-json.ts";
import { invalid } from "./read-query.ts";

/** Longest life of a signed URL, in seconds: seven days. */
const MAX_SIGNED_SECONDS = 604_800;

/**
 * `/v1/storage/…`: who may read the files of the caller's account, signed URLs to them, and what its new files get
 * where a call says nothing.
 */
export function addStorageRoutes(app: SurfaceApp, tools: SurfaceTools, context: GatewayContext): void {
  const { files, tokens, clock } = context;
  const { respond, requireCaller } = tools;

  app.get("/storage/files/acl", requireCaller(), async (c) => {
    const file = await findOwn(c.env.url, c.get("caller").accountId);
    return respond.json(200, file.acl);
  });

  app.put("/storage/files/acl", requireCaller(), async (c) => {
    const file = await findOwn(c.env.url, c.get("caller").accountId);
    const acl = parseFileAcl(await readJson(c.env.request));
    if (typeof acl === "string") throw invalid(`The access rules ${acl}.`);
    await files.setAcl(file.path, acl);
    return respond.json(200, (await findOwn(c.env.url, file.accountId)).acl);
  });

  app.post("/storage/files/sign", requireCaller(), async (c) => {
    const file = await findOwn(c.env.url, c.get("caller").accountId);
    const { expiration_seconds: seconds } = await readJson(c.env.request);
    if (
      typeof seconds !== "number" ||
      !Number.isInteger(seconds) ||
      seconds < 1 ||
      seconds > MAX_SIGNED_SECONDS
    )
      throw invalid(`"expiration_seconds" must be a whole number from 1 to ${MAX_SIGNED_SECONDS}.`);
    const expiresAt = clock.now() + seconds * 1000;
    return respond.json(200, { signed_url: signFileUrl(tokens, c.env.urls, file.path, expiresAt) });
  });

  app.get("/storage/settings", requireCaller(), async (c) =>
    respond.json(200, await formatSettings(c.get("caller").accountId)),
  );

  app.put("/storage/settings", requireCaller(), async (c) => {
    const { accountId } = c.get("caller");
    await files.setDefaults(accountId, readSettings(await readJson(c.env.request)));
    return respond.json(200, await formatSettings(accountId));
  });

  app.all("/storage/*", requireCaller(), (c) => {
    throw new PlatformError("not_found", `This server does not offer ${c.req.method} /v1${c.env.path}.`);
  });

  async function formatSettings(accountId: AccountId): Promise<object> {
    const { expiresAfterMs, acl } = await files.getDefaults(accountId);
    return {
      expiration_duration_seconds: expiresAfterMs === undefined ? null : (expiresAfterMs ?? 0) / 1000,
      initial_acl: acl ?? null,
    };
  }

  async function findOwn(url: URL, accountId: AccountId): Promise<StoredFile> {
    const text = url.searchParams.get("url");
    if (text === null) throw invalid(`"url" is required: the URL of a file of this server.`);
    const path = parseFileUrl(text);
    const file = path === undefined ? undefined : await files.find(path);
    if (file?.accountId !== accountId) throw new PlatformError("not_found", "There is no such file.");
    return file;
  }
}

/** Null and nothing said clear a setting: the server's own is used then. 0 seconds: for ever. */
function readSettings(body: Readonly<Record<string, unknown>>): FileLifecycle {
  const { expiration_duration_seconds: seconds, ...rest } = body;
  try {
    return readLifecycle(seconds === null ? rest : body);
  } catch (error) {
    if (error instanceof LifecycleError) throw invalid(error.message);
    throw error;
  }
}
