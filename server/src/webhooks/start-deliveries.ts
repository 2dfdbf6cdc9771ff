import type { Clock } from "../clock.ts";
import type { Database } from "../database/database.ts";
import { DEFAULT_DOWNLOAD_RULES, type DownloadRules } from "../files/download.ts";
import type { AccountId } from "../ids.ts";
import type { Live } from "../live/live.ts";
import type { Logger } from "../logger.ts";
import type { RequestQueue } from "../queue/request-queue.ts";
import type { Settings } from "../settings.ts";
import { allowReceivers } from "./allow-receivers.ts";
import { createWebhookPayload } from "./create-payload.ts";
import {
  createDeliveryStore,
  type DeliveryStore,
  getReceiver,
  isDue,
  type NextStep,
  type TakenDelivery,
} from "./delivery-store.ts";
import { parseInboxUrl, type WebhookInbox } from "./inbox.ts";
import { getAttemptTimeout, getRetryDelay } from "./retry-schedule.ts";
import { type SendOutcome, sendDelivery, signBody, USER_AGENT } from "./send-delivery.ts";
import type { WebhookSigningKeys } from "./signing-keys.ts";

export interface DeliveryOptions {
  readonly database: Database;
  readonly queue: Pick<RequestQueue, "find" | "readResult">;
  readonly live: Pick<Live, "subscribeAll">;
  readonly signingKeys: Pick<WebhookSigningKeys, "sign">;
  readonly settings: Pick<Settings, "webhookAllowPrivate" | "host">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Base of file URLs in payloads, without a trailing slash. */
  readonly filesUrl: string;
  /** True when no other process delivers from this database: what a dead one had taken is due at once. */
  readonly isAlone: boolean;
  /** 0 to 1; default `Math.random`. */
  readonly random?: () => number;
  /** Replaces time-outs of attempts, in milliseconds. */
  readonly getTimeout?: (attemptsMade: number) => number;
  readonly resolve?: DownloadRules["resolve"];
  /** Inboxes of this server: what goes to them takes no way through the network, and no rule of addresses. */
  readonly inbox: Pick<WebhookInbox, "findAccount" | "receive">;
}

/**
 * Delivers what ended requests owe until it is disposed. Looks at the database when a request ends, when the next
 * retry is due, and every few seconds for what others wrote. Any number of processes may do this at once: a delivery
 * is leased while it is sent. Receivers get it at least once, in no particular order.
 *
 * Disposing lets attempts in progress end for a second, then breaks them off; they are made again by whoever is next.
 */
export async function startDeliveries(options: DeliveryOptions): Promise<AsyncDisposable> {
  const { logger, isAlone } = options;
  const store = createDeliveryStore(options);
  if (isAlone) await store.releaseAll();
  const courier = new Courier(options, store);
  courier.start();
  logger.debug({}, "webhooks are delivered");
  return courier;
}

const MAX_AT_ONCE = 32;
/** One receiver that is slow must not hold up the others. */
const MAX_PER_RECEIVER = 8;
/** Longest time between looks. */
const LOOK_MS = 2_000;
/** Shortest: many requests that end together are one look. */
const REST_MS = 20;
const GRACE_MS = 1_000;
/** A lease outlives its attempt by the time that writing the outcome may take. */
const LEASE_MARGIN_MS = 30_000;

class Courier implements AsyncDisposable {
  readonly #options: DeliveryOptions;
  readonly #store: DeliveryStore;
  readonly #ending = new AbortController();
  /** Aborts attempts in progress. */
  readonly #breaking = new AbortController();
  readonly #sending = new Map<TakenDelivery, Promise<void>>();
  #loop: Promise<void> = Promise.resolve();
  #unlisten = (): void => {};
  #wake = (): void => {};
  #isWoken = false;

  constructor(options: DeliveryOptions, store: DeliveryStore) {
    this.#options = options;
    this.#store = store;
  }

  start(): void {
    this.#unlisten = this.#options.live.subscribeAll((update) => {
      if (update.type === "changed" && update.state !== "queued" && update.state !== "running") this.#look();
    });
    this.#loop = this.#run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unlisten();
    this.#ending.abort();
    this.#wake();
    await this.#loop;
    const timer = setTimeout(() => this.#breaking.abort(new Error("The server is stopping.")), GRACE_MS);
    await Promise.all(this.#sending.values());
    clearTimeout(timer);
  }

  #look(): void {
    this.#isWoken = true;
    this.#wake();
  }

  async #run(): Promise<void> {
    const { clock, logger } = this.#options;
    while (!this.#ending.signal.aborted) {
      this.#isWoken = false;
      let nextAt: number | undefined;
      try {
        nextAt = await this.#takeDue();
      } catch (error) {
        logger.error({ err: error }, "owed webhooks could not be read");
      }
      const waitMs = nextAt === undefined ? LOOK_MS : Math.max(nextAt - clock.now(), REST_MS);
      await this.#rest(Math.min(waitMs, LOOK_MS));
    }
  }

  async #rest(ms: number): Promise<void> {
    const { clock } = this.#options;
    await clock.sleep(REST_MS);
    if (this.#isWoken || this.#ending.signal.aborted) return;
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await clock.sleep(ms, woken.signal).catch(() => {}); // woken
    this.#wake = () => {};
  }

  /**
   * Begins attempts until nothing more is due, or as many are made as may be: each that ends is a reason to look again.
   * @returns when the next delivery is due, if there is one
   */
  async #takeDue(): Promise<number | undefined> {
    const { clock } = this.#options;
    for (;;) {
      const limit = Math.min(MAX_AT_ONCE - this.#sending.size, MAX_PER_RECEIVER);
      if (limit <= 0 || this.#ending.signal.aborted) return undefined;
      const busyReceivers = this.#listBusy();
      const nextAt = await this.#store.findNextDue(busyReceivers);
      if (nextAt === undefined || !isDue(nextAt, clock.now())) return nextAt;
      const taken = await this.#store.takeDue({
        limit,
        busyReceivers,
        getLeaseMs: (attemptsMade) => this.#getTimeout(attemptsMade) + LEASE_MARGIN_MS,
      });
      if (taken.length === 0) return undefined;
      for (const delivery of taken) {
        const sending = this.#deliver(delivery).finally(() => {
          this.#sending.delete(delivery);
          this.#look();
        });
        this.#sending.set(delivery, sending);
      }
    }
  }

  /** Receivers with as many attempts in progress as one may have; the batch that filled it may have gone beyond. */
  #listBusy(): readonly string[] {
    const counts = new Map<string, number>();
    for (const { url } of this.#sending.keys()) {
      const receiver = getReceiver(url);
      counts.set(receiver, (counts.get(receiver) ?? 0) + 1);
    }
    return [...counts].filter(([, count]) => count >= MAX_PER_RECEIVER).map(([receiver]) => receiver);
  }

  #getTimeout(attemptsMade: number): number {
    return (this.#options.getTimeout ?? getAttemptTimeout)(attemptsMade);
  }

  /** One attempt. Never rejects: what fails here is tried again when the lease ends. */
  async #deliver(taken: TakenDelivery): Promise<void> {
    const { clock, logger } = this.#options;
    const { requestId } = taken;
    const at = clock.now();
    const started = clock.monotonic();
    try {
      const outcome = await this.#send(taken);
      const next = this.#decideNext(taken, outcome);
      const attempt = {
        at,
        durationMs: clock.monotonic() - started,
        status: outcome.status,
        error: outcome.kind === "accepted" ? null : outcome.error,
      };
      const isRecorded = await this.#store.record(taken, attempt, next);
      if (!isRecorded) logger.warn({ requestId }, "a webhook was delivered again by another process");
      else if (next.kind === "given_up")
        logger.warn({ requestId, error: attempt.error }, "a webhook was given up");
      else logger.debug({ requestId, ...attempt, next: next.kind }, "a webhook was sent");
    } catch (error) {
      if (this.#breaking.signal.aborted) return await this.#giveBack(taken);
      logger.error({ err: error, requestId }, "a webhook could not be sent");
    }
  }

  async #giveBack(taken: TakenDelivery): Promise<void> {
    const { logger } = this.#options;
    const { requestId } = taken;
    await this.#store
      .release(taken)
      .catch((error: unknown) => logger.error({ err: error, requestId }, "a webhook was not given back"));
  }

  async #send(taken: TakenDelivery): Promise<SendOutcome> {
    const { queue, filesUrl, settings, resolve } = this.#options;
    const { requestId, accountId, url, attemptsMade } = taken;
    const request = await queue.find(requestId);
    if (request === undefined || request.statusCode === null)
      return { kind: "failed", status: null, error: "the request was removed", isFinal: true };
    const body = createWebhookPayload(
      { id: requestId, statusCode: request.statusCode, result: await queue.readResult(requestId) },
      filesUrl,
    );
    const timeoutMs = this.#getTimeout(attemptsMade);
    const inbox = await this.#findInbox(url);
    if (inbox !== undefined) {
      const signature = await signBody({ requestId, accountId, body }, this.#options);
      const headers = { "content-type": "application/json", "user-agent": USER_AGENT, ...signature };
      await this.#options.inbox.receive(inbox, { headers, body });
      return { kind: "accepted", status: 200 };
    }
    const sending = { requestId, accountId, url, body, timeoutMs, signal: this.#breaking.signal };
    const rules = {
      isAllowed: allowReceivers(settings),
      resolve: resolve ?? DEFAULT_DOWNLOAD_RULES.resolve,
    };
    return await sendDelivery(sending, { ...this.#options, rules });
  }

  /** Its token is a secret of this server: whatever host the address names, it is ours. */
  async #findInbox(url: string): Promise<AccountId | undefined> {
    const token = URL.canParse(url) ? parseInboxUrl(new URL(url)) : undefined;
    return token === undefined ? undefined : await this.#options.inbox.findAccount(token);
  }

  #decideNext({ attemptsMade }: TakenDelivery, outcome: SendOutcome): NextStep {
    if (outcome.kind === "accepted") return { kind: "delivered" };
    const { random = Math.random } = this.#options;
    const delayMs = outcome.isFinal ? undefined : getRetryDelay(attemptsMade + 1, random());
    return delayMs === undefined ? { kind: "given_up" } : { kind: "retry", delayMs };
  }
}
