import type { Catalog, CatalogEntry } from "../catalog/catalog.ts";
import type { Lease } from "../queue/request-queue.ts";
import { createFlatResult } from "./failure-results.ts";
import { type DirectParts, type DirectTicket, refuseDirect, runDirect } from "./run-direct.ts";
import { type LeaseParts, runLease } from "./run-lease.ts";
import type { PoolFile } from "./worker-pool.ts";

/** A lane looks at the queue this often even when nobody told it of work: hints may be lost. */
const POLL_MS = 2_000;
const LEASE_FAILED_MS = 1_000;
/** A direct request waits for a model file that backs off only this long: its caller waits for an answer. */
const PATIENCE_MS = 2_000;
const MAX_HINTS = 32;
const MAX_TIMER_MS = 2 ** 31 - 1;

export type LaneParts = LeaseParts & DirectParts & { readonly runnerId: string };

/**
 * The work of one model file: as many slots as it may have workers, each of which executes one request after the
 * other. A slot takes turns: direct requests go first, because their callers hold a connection open, but after each
 * direct one it looks at the queue, so that neither kind waits for ever.
 */
export class Lane {
  readonly #path: string;
  readonly #parts: LaneParts & { readonly catalog: LaneCatalog };
  readonly #line = new Set<DirectTicket>();
  readonly #hints = new Set<string>();
  /** Aborts when nothing new may be begun. */
  readonly #draining = new AbortController();
  /** Aborts when what the lane listens for has changed. */
  #changing = new AbortController();
  /** Aborts when what runs must give up. */
  readonly #stopping = new AbortController();
  readonly #slots: Promise<void>[];
  readonly #listening: Promise<void>;
  /** Grows whenever there may be work, so that a slot that looked before can tell. */
  #wakes = 0;
  #sleepers = new Set<() => void>();
  /** True while the machine takes no new work. */
  #isHeld = false;

  constructor(path: string, parts: LaneParts) {
    this.#path = path;
    this.#parts = { ...parts, catalog: createLaneCatalog(parts.catalog, path) };
    this.#listening = this.#listen();
    this.#slots = Array.from({ length: countSlots(parts.catalog, path) }, () => this.#work());
  }

  /** Puts a direct request in line. Its answer comes through the ticket. */
  add(ticket: DirectTicket): void {
    const { request, signal } = ticket;
    const leave = (): void => {
      if (this.#line.delete(ticket))
        refuseDirect(ticket, createFlatResult("client_disconnected"), this.#parts);
    };
    if (this.#draining.signal.aborted || this.#isHeld) {
      this.#refuse(ticket);
      return;
    }
    this.#line.add(ticket);
    if (signal.aborted) {
      leave();
      return;
    }
    signal.addEventListener("abort", leave, { once: true });
    if (request.startDeadlineAt !== undefined) void this.#watchDeadline(ticket, request.startDeadlineAt);
    this.#wake();
  }

  /** Begins nothing new until {@link letGo}; what runs goes on. Direct requests are refused: their callers wait. */
  hold(): void {
    this.#isHeld = true;
    for (const ticket of this.#line) if (this.#line.delete(ticket)) this.#refuse(ticket);
  }

  letGo(): void {
    this.#isHeld = false;
    this.#wake();
  }

  /**
   * Begins nothing new and waits for what runs; `graceMs` later running requests are stopped, and those from the queue
   * are given back to it.
   */
  async drain(graceMs: number): Promise<void> {
    this.#draining.abort();
    for (const ticket of this.#line) if (this.#line.delete(ticket)) this.#refuse(ticket);
    this.#wake();
    const timer = setTimeout(() => this.#stopping.abort(), graceMs);
    await Promise.all([...this.#slots, this.#listening]);
    clearTimeout(timer);
  }

  /** The endpoints of the model file may have changed. */
  refresh(): void {
    const changing = this.#changing;
    this.#changing = new AbortController();
    changing.abort("the catalog has changed");
    this.#wake();
  }

  /** Begins nothing new and lets what runs take its time. Gives back the direct requests that wait in line. */
  leave(): { readonly waiting: readonly DirectTicket[]; readonly isThrough: Promise<void> } {
    const waiting = [...this.#line];
    this.#line.clear();
    this.#draining.abort();
    this.#wake();
    return { waiting, isThrough: Promise.all([...this.#slots, this.#listening]).then(() => {}) };
  }

  async #work(): Promise<void> {
    const stopping = this.#stopping.signal;
    let isQueuesTurn = false;
    let ending: Promise<void> = Promise.resolve();
    // The slot goes on when its worker is free: one request is stored and ended while the next one runs.
    const occupy = async (run: (onFree: () => void) => Promise<void>): Promise<void> => {
      const { promise: isFree, resolve: onFree } = Promise.withResolvers<void>();
      const ended = run(onFree).finally(() => this.#wake());
      await Promise.race([isFree, ended]);
      await ending;
      ending = ended;
    };
    while (!this.#draining.signal.aborted) {
      const seen = this.#wakes;
      if (this.#isHeld) {
        await this.#sleep(seen, POLL_MS);
        continue;
      }
      const backOff = this.#parts.pool.getBackOff(this.#path);
      if (backOff !== undefined) {
        this.#refuseImpatient(backOff.waitMs);
        await this.#sleep(seen, Math.min(backOff.waitMs, POLL_MS));
        continue;
      }
      const ticket = isQueuesTurn ? undefined : this.#takeTicket();
      if (ticket !== undefined) {
        isQueuesTurn = true;
        await occupy((onFree) => runDirect(ticket, this.#getFile(), this.#parts, { stopping, onFree }));
        continue;
      }
      const lease = await this.#lease();
      if (lease !== undefined && (this.#draining.signal.aborted || this.#isHeld)) {
        await this.#giveBack(lease);
      } else if (lease !== undefined) {
        await occupy((onFree) => runLease(lease, this.#getFile(), this.#parts, { stopping, onFree }));
      } else if (this.#line.size === 0) {
        await this.#sleep(seen, POLL_MS);
      }
      isQueuesTurn = false;
    }
    await ending;
  }

  async #lease(): Promise<Lease | undefined> {
    const { queue, runnerId, leaseMs, logger, clock } = this.#parts;
    const endpointIds = this.#getEndpointIds();
    if (endpointIds.length === 0) return undefined;
    try {
      const lease = await queue.lease({ runnerId, endpointIds, leaseMs, hints: [...this.#hints] });
      if (lease?.request.hint != null) this.#remember(lease.request.hint);
      return lease;
    } catch (error) {
      logger.error({ modelFile: this.#path, error }, "No request could be leased.");
      await clock.sleep(LEASE_FAILED_MS, this.#draining.signal).catch(() => {});
      return undefined;
    }
  }

  async #giveBack(lease: Lease): Promise<void> {
    const { queue, logger } = this.#parts;
    await queue.release(lease).catch((error: unknown) => {
      logger.warn({ requestId: lease.requestId, error }, "A lease was not given back and runs out.");
    });
  }

  #takeTicket(): DirectTicket | undefined {
    const [ticket] = this.#line;
    if (ticket !== undefined) this.#line.delete(ticket);
    return ticket;
  }

  #refuse(ticket: DirectTicket): void {
    const detail = this.#isHeld
      ? "This machine is drained: it takes no new work until it is resumed. Use the queue, or try again later."
      : "The server is stopping. Send the request again.";
    refuseDirect(ticket, createFlatResult("runner_scheduling_failure", { detail }), this.#parts);
  }

  #refuseImpatient(waitMs: number): void {
    if (waitMs <= PATIENCE_MS) return;
    const seconds = Math.ceil(waitMs / 1000);
    const detail = `The model could not be loaded. The next try is in ${seconds} s.`;
    const headers = { "retry-after": String(seconds) };
    const result = createFlatResult("runner_scheduling_failure", { detail, headers });
    for (const ticket of this.#line) if (this.#line.delete(ticket)) refuseDirect(ticket, result, this.#parts);
  }

  async #watchDeadline(ticket: DirectTicket, at: number): Promise<void> {
    const { clock } = this.#parts;
    const signal = AbortSignal.any([ticket.signal, this.#draining.signal]);
    await clock.sleep(Math.min(Math.max(0, at - clock.now()), MAX_TIMER_MS), signal).catch(() => {});
    if (signal.aborted || !this.#line.delete(ticket)) return;
    const headers = { "x-fal-request-timeout-type": "user" };
    refuseDirect(ticket, createFlatResult("startup_timeout", { headers }), this.#parts);
  }

  async #listen(): Promise<void> {
    const { signal } = this.#draining;
    while (!signal.aborted) {
      const either = AbortSignal.any([signal, this.#changing.signal]);
      await this.#parts.live.waitForWork(this.#getEndpointIds(), POLL_MS, either);
      this.#wake();
    }
  }

  #wake(): void {
    this.#wakes++;
    const sleepers = this.#sleepers;
    this.#sleepers = new Set();
    for (const wake of sleepers) wake();
  }

  /** Waits until there may be work that came after `seen`, at most `ms`. */
  #sleep(seen: number, ms: number): Promise<void> {
    if (this.#wakes !== seen) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#sleepers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#sleepers.add(wake);
    });
  }

  #remember(hint: string): void {
    this.#hints.delete(hint);
    this.#hints.add(hint);
    const [oldest] = this.#hints;
    if (this.#hints.size > MAX_HINTS && oldest !== undefined) this.#hints.delete(oldest);
  }

  #getEndpointIds(): readonly string[] {
    return this.#parts.catalog.list().map((entry) => entry.endpointId);
  }

  #getFile(): PoolFile {
    const limits = this.#parts.catalog.listKnown().map((entry) => entry.manifest.limits);
    const memory = limits.flatMap((limit) => limit.memoryBytes ?? []);
    return {
      path: this.#path,
      limits: {
        setupTimeoutMs: Math.max(...limits.map((limit) => limit.setupTimeoutMs)),
        idleMs: Math.max(...limits.map((limit) => limit.idleMs)),
        memoryBytes: memory.length === 0 ? null : Math.max(...memory),
      },
    };
  }
}

function countSlots(catalog: Catalog, path: string): number {
  return Math.max(1, ...listEntries(catalog, path).map((entry) => entry.manifest.limits.workers));
}

function listEntries(catalog: Catalog, path: string): ReturnType<Catalog["list"]> {
  return catalog.list().filter((entry) => entry.modelFile === path);
}

/** The catalog as one model file's lane sees it. */
interface LaneCatalog extends Catalog {
  /** What the file offers, and what it offered before. */
  listKnown(): readonly CatalogEntry[];
}

/**
 * Endpoints may be taken over by another model file while this one still executes requests for them: those are
 * checked and described by the definition that answers them.
 */
function createLaneCatalog(catalog: Catalog, path: string): LaneCatalog {
  const known = new Map<string, CatalogEntry>();
  const list = (): readonly CatalogEntry[] => {
    const entries = listEntries(catalog, path);
    for (const entry of entries) known.set(entry.endpointId, entry);
    return entries;
  };
  list();
  return {
    list,
    find: (endpointId) => known.get(endpointId) ?? catalog.find(endpointId),
    hasApp: (app) => catalog.hasApp(app),
    listKnown: () => [...known.values()],
  };
}
