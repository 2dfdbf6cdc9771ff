import { type AddressRule, isPublicAddress, isPublicOrPrivateAddress } from "../files/public-address.ts";
import { isLoopbackHost } from "../loopback-host.ts";
import type { Settings } from "../settings.ts";

/**
 * Which addresses webhooks may go to: private ones when the operator says so, or, unless the operator says otherwise,
 * while the server itself is for this machine alone.
 */
export function allowReceivers(settings: Pick<Settings, "webhookAllowPrivate" | "host">): AddressRule {
  const allowsPrivate = settings.webhookAllowPrivate ?? isLoopbackHost(settings.host);
  return allowsPrivate ? isPublicOrPrivateAddress : isPublicAddress;
}
