import {
  INBOX_PATH,
  type InboxDelivery,
  MAX_INBOX_BODY_BYTES,
  MAX_INBOX_DELIVERIES,
} from "../../webhooks/inbox.ts";
import type { SurfaceApp, SurfaceTools } from "../caller.ts";
import type { GatewayContext } from "../context.ts";
import type { Notices } from "../events/notices.ts";
import { readBody } from "../read-body.ts";
import { PlatformError } from "./platform-error.ts";
import { formatPage, invalid, isId, readLimit } from "./read-query.ts";

/** Longer bodies are refused; what is between this and what is kept is counted, and cut. */
const MAX_BODY_BYTES = 32 * 2 ** 20;
/** They show who was asked, not what was said. */
const HIDDEN = new Set(["host", "connection", "content-length", "transfer-encoding", "accept-encoding"]);

/**
 * `/v1/sluice/inbox`: a receiver of webhooks on this server, for development. `GET` tells the account's address and what
 * came in, `POST …/{token}` is that address and needs no key, `DELETE` empties it. Each account has its own.
 */
export function addInboxRoutes(
  app: SurfaceApp,
  tools: SurfaceTools,
  context: GatewayContext,
  notices: Notices,
): void {
  const { respond, requireCaller } = tools;
  const { inbox } = context;
  inbox.onChange((accountId) => notices.publish({ type: "inbox" }, accountId));

  app.get("/sluice/inbox", requireCaller(), async (c) => {
    const { accountId } = c.get("caller");
    const { urls, url } = c.env;
    const before = url.searchParams.get("cursor") ?? "";
    if (before !== "" && !isId(before))
      throw invalid(
        `"cursor" must be the "next_cursor" of the page before; leave it out for the first page.`,
      );
    const page = await inbox.list(accountId, {
      limit: readLimit(url.searchParams, { fallback: 20, max: MAX_INBOX_DELIVERIES }),
      ...(before === "" ? {} : { before }),
    });
    return respond.json(200, {
      url: `${urls.origin}${INBOX_PATH}${await inbox.getToken(accountId)}`,
      max_deliveries: MAX_INBOX_DELIVERIES,
      max_body_bytes: MAX_INBOX_BODY_BYTES,
      deliveries: page.deliveries.map(formatDelivery),
      ...formatPage(page.nextCursor),
    });
  });

  app.delete("/sluice/inbox", requireCaller(), async (c) => {
    const { accountId } = c.get("caller");
    await inbox.clear(accountId);
    return new Response(null, { status: 204 });
  });

  app.post("/sluice/inbox/:token", async (c) => {
    const accountId = await inbox.findAccount(c.req.param("token"));
    if (accountId === undefined) throw new PlatformError("not_found", "There is no such inbox.");
    const { request } = c.env;
    const body = await readBody(request, MAX_BODY_BYTES);
    if (body.kind === "too_large") return respond.sentence(413, "The body is too large.");
    if (body.kind === "aborted") throw invalid("The body ended before it was whole.");
    const headers = Object.fromEntries([...request.headers].filter(([name]) => !HIDDEN.has(name)));
    await inbox.receive(accountId, { headers, body: body.bytes ?? new Uint8Array() });
    return respond.json(200, { status: "received" });
  });
}

function formatDelivery(delivery: InboxDelivery): Readonly<Record<string, unknown>> {
  const { id, receivedAt, headers, body, sizeBytes } = delivery;
  const text = decode(body);
  return {
    id,
    received_at: new Date(receivedAt).toISOString(),
    request_id: headers["x-fal-webhook-request-id"] ?? null,
    headers,
    // Bytes that are no text would not come back as they were.
    body: text,
    body_base64: text === null ? Buffer.from(body).toString("base64") : null,
    size_bytes: sizeBytes,
    is_cut: body.byteLength < sizeBytes,
  };
}

function decode(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return null;
  }
}
