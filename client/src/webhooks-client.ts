import type { RequiredConfig } from "./config.ts";
import type { KeyCache } from "./verify-webhook.ts";
import type { WebhooksClient } from "./webhooks.ts";

/** Keys are kept for a day, by client. */
export function createWebhooksClient(config: RequiredConfig): WebhooksClient {
  const keys: KeyCache = new Map();
  return {
    // Receivers are servers: a page need not load this.
    async verify(request, options = {}) {
      const { verifyWebhook } = await import("./verify-webhook.ts");
      return verifyWebhook(config, keys, request, options);
    },
  };
}
