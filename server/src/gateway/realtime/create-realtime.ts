import type { Catalog } from "../../catalog/catalog.ts";
import type { Call } from "../call.ts";
import type { GatewayContext } from "../context.ts";
import { type FoundEndpoint, findEndpoint, readEndpointPath } from "../find-endpoint.ts";
import { readRequestOptions } from "../request-options.ts";
import type { Upgrade } from "../ws/accept-upgrades.ts";
import type { UpgradeParts } from "../ws/create-upgrade.ts";
import { sendFrame } from "../ws/send-frame.ts";
import { RealtimeSession } from "./realtime-session.ts";

/**
 * Realtime on the run surface: `/{endpoint_id}/realtime`, `/{endpoint_id}/ws`, or the path of an endpoint itself (fal
 * model API, "Realtime WebSocket"). Any endpoint can be used so: each message is an input, each answer its output.
 *
 * A token that is not valid is told on the socket, where browsers can read it; everything else that is wrong is an HTTP
 * answer to the handshake.
 *
 * Query: `fal_jwt_token`, `max_buffering` (1 to 60, default 1: inputs kept while one is processed), `emit_timings`
 * (`true`: each result is followed by how long it took).
 */
export function createRealtime(
  context: GatewayContext,
  parts: Pick<UpgradeParts, "respond" | "authenticator" | "counter">,
): (call: Call) => Promise<Upgrade> {
  const { catalog, clock, settings } = context;
  const { respond, authenticator, counter } = parts;
  const refuse = (response: Response): Upgrade => ({ kind: "refused", response });

  return async (call) => {
    const { request, url } = call;
    const path = readEndpointPath(call.path);
    const access = await authenticator.authenticate(request, url, {
      surface: "run",
      endpoint: path,
      accepts: ["key", "token"],
    });
    if (!access.ok) {
      const isByToken = url.searchParams.has("fal_jwt_token") && !request.headers.has("authorization");
      return isByToken ? UNAUTHORIZED : refuse(access.response);
    }
    const found = findRealtimeTarget(catalog, path);
    if (found.kind === "unknown_app")
      return refuse(respond.sentence(404, `Application "${found.name}" not found`));
    if (found.kind === "unknown_path") return refuse(respond.sentence(404, `Path ${found.path} not found`));
    const read = readRequestOptions(request, url, clock.now());
    if (read.kind === "bad_request") return refuse(respond.flat("bad_request", read.message));
    if (read.kind === "invalid") return refuse(respond.list(read.detail));
    const { fileLifecycle, headers, hint, keepsPayloads, tags } = read.options;
    return {
      kind: "accepted",
      serve: (socket) =>
        new RealtimeSession(context, {
          socket,
          counter,
          found,
          caller: access.caller,
          options: {
            keepsPayloads,
            ...(fileLifecycle === undefined ? {} : { fileLifecycle }),
            ...(headers === undefined ? {} : { headers }),
            ...(hint === undefined ? {} : { hint }),
            ...(tags === undefined ? {} : { tags }),
          },
          maxBuffering: readMaxBuffering(url.searchParams.get("max_buffering")),
          emitsTimings: /^(1|true)$/i.test(url.searchParams.get("emit_timings") ?? ""),
          filesUrl: call.urls.files,
          idleMs: settings.realtimeIdleMs,
        }).start(),
    };
  };
}

const UNAUTHORIZED: Upgrade = {
  kind: "accepted",
  serve: (socket) =>
    void sendFrame(socket, JSON.stringify({ status: "error", error: "Unauthorized" })).then(() =>
      socket.close(1008, "Unauthorized"),
    ),
};

const SUFFIXES = ["/realtime", "/ws"];

function findRealtimeTarget(catalog: Catalog, path: string): FoundEndpoint {
  const found = findEndpoint(catalog, path);
  if (found.kind === "endpoint") return found;
  const suffix = SUFFIXES.find((each) => path.endsWith(each));
  if (suffix === undefined) return found;
  const inner = findEndpoint(catalog, path.slice(0, -suffix.length));
  return inner.kind === "unknown_path" ? { ...inner, path: `${inner.path}${suffix}` } : inner;
}

/** Clients hold themselves to 1 to 60; what is outside is brought inside. */
function readMaxBuffering(text: string | null): number {
  const count = text === null || !/^-?\d{1,9}$/.test(text) ? 1 : Number(text);
  return Math.min(Math.max(count, 1), 60);
}
