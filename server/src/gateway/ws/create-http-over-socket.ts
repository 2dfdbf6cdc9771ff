import type { Call } from "../call.ts";
import type { GatewayContext } from "../context.ts";
import { findEndpoint, readEndpointPath } from "../find-endpoint.ts";
import type { Upgrade } from "./accept-upgrades.ts";
import type { UpgradeParts } from "./create-upgrade.ts";
import { HttpSession } from "./http-session.ts";

/**
 * HTTP over WebSocket: `/{endpoint_id}[/path]` on the ws surface (fal model API, "HTTP over WebSocket"). Each message
 * is the body of a POST to that path of the run surface.
 */
export function createHttpOverSocket(
  context: GatewayContext,
  parts: Pick<UpgradeParts, "respond" | "authenticator" | "run">,
): (call: Call) => Promise<Upgrade> {
  const { respond, authenticator, run } = parts;
  return async (call) => {
    const endpoint = readEndpointPath(call.path);
    const access = await authenticator.authenticate(call.request, call.url, {
      surface: "ws",
      endpoint,
      accepts: ["key", "token"],
    });
    if (!access.ok) return { kind: "refused", response: access.response };
    const found = findEndpoint(context.catalog, endpoint);
    if (found.kind === "unknown_app") {
      const detail = `Application "${found.name}" not found`;
      return { kind: "refused", response: respond.sentence(404, detail) };
    }
    return { kind: "accepted", serve: (socket) => new HttpSession(context, { socket, call, run }).start() };
  };
}
