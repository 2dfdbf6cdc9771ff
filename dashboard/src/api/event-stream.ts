import { useSyncExternalStore } from "react";
import { call } from "./call.ts";
import { readEvents } from "./read-events.ts";
import { onSessionChange, readSession } from "./session.ts";

/**
 * The one connection by which everything that this tab shows is kept up to date. It is open while something listens
 * and somebody is signed in, comes back by itself when it breaks, and says so when something may have been missed:
 * then who listens looks again.
 */
export type ServerEvent =
  | { readonly type: "hello"; readonly stream_id: string; readonly has_gap: boolean }
  /** Something was missed: look again. */
  | { readonly type: "gap" }
  | {
      readonly type: "request";
      readonly request_id: string;
      readonly endpoint_id: string;
      readonly state: string;
    }
  | { readonly type: "queue"; readonly endpoint_id: string }
  | { readonly type: "machine" | "inbox" | "prices" }
  | WatchedEvent;

/** What is told of the requests that are watched. */
export type WatchedEvent =
  | {
      readonly type: "status";
      readonly request_id: string;
      readonly status: "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED";
      readonly queue_position?: number;
      readonly logs?: readonly LogLine[] | null;
      readonly metrics?: { readonly inference_time?: number | null };
      readonly error?: string;
    }
  | {
      readonly type: "progress";
      readonly request_id: string;
      readonly phase: string;
      readonly step: number;
      readonly steps: number;
    }
  | {
      readonly type: "preview";
      readonly request_id: string;
      readonly image: number;
      readonly step: number;
      readonly width: number;
      readonly height: number;
      readonly url: string;
    }
  | { readonly type: "gone"; readonly request_id: string };

export interface LogLine {
  readonly message: string;
  readonly level: string;
  readonly timestamp: string;
}

/** `closed`: nothing listens, or nobody is signed in. */
export type StreamState = "closed" | "connecting" | "open" | "lost";

export interface Watch {
  onEvent(event: WatchedEvent): void;
  /** The connection is there (again): the status and all log lines follow from the first. */
  onOpen(): void;
  onLost(): void;
  /** Nobody is signed in any more. */
  onSignedOut(): void;
}

/** Calls the listener with every event until the function that it gives back is called. */
export function listenToEvents(listener: (event: ServerEvent) => void): () => void {
  listeners.add(listener);
  reconsider();
  return () => {
    listeners.delete(listener);
    reconsider();
  };
}

/** Follows one request until the function that it gives back is called. */
export function watchEvents(requestId: string, watch: Watch): () => void {
  watches.set(watch, requestId);
  const known = statuses.get(requestId) ?? [];
  // Followed already: the server does not begin again.
  if (known.length > 0)
    queueMicrotask(() => {
      for (const status of known) if (watches.has(watch)) watch.onEvent(status);
    });
  if (readSession() === undefined) queueMicrotask(() => watch.onSignedOut());
  reconsider();
  sendWatched();
  return () => {
    watches.delete(watch);
    reconsider();
    sendWatched();
  };
}

export function useStreamState(): StreamState {
  return useSyncExternalStore(
    (tell) => {
      stateListeners.add(tell);
      return () => stateListeners.delete(tell);
    },
    () => state,
  );
}

const listeners = new Set<(event: ServerEvent) => void>();
const watches = new Map<Watch, string>();
const stateListeners = new Set<() => void>();
/** What this connection has told of the requests that the server follows for it. */
const statuses = new Map<string, WatchedEvent[]>();
let state: StreamState = "closed";
let connection: AbortController | undefined;
/** Of the open stream: where a change of what is watched is sent. */
let streamId: string | undefined;
/** Of the last event with an id, for the next connection. */
let lastEventId = "";
let linger: ReturnType<typeof setTimeout> | undefined;

/** A page that is left for another keeps the connection. */
const LINGER_MS = 1_000;
/** The server says something at least every fifteen seconds. */
const SILENCE_MS = 35_000;
const RETRY_MS = 500;
const MAX_RETRY_MS = 5_000;

let sessionSecret = readSession()?.secret;
onSessionChange(() => {
  const session = readSession();
  if (session?.secret === sessionSecret) return;
  sessionSecret = session?.secret;
  // Another caller sees other things.
  close();
  lastEventId = "";
  if (session === undefined) for (const watch of [...watches.keys()]) watch.onSignedOut();
  reconsider();
});

function reconsider(): void {
  clearTimeout(linger);
  const isWanted = listeners.size + watches.size > 0 && readSession() !== undefined;
  if (isWanted && connection === undefined) {
    connection = new AbortController();
    void keepOpen(connection.signal);
  } else if (!isWanted && connection !== undefined) linger = setTimeout(close, LINGER_MS);
}

function close(): void {
  connection?.abort();
  connection = undefined;
  streamId = undefined;
  change("closed");
}

async function keepOpen(signal: AbortSignal): Promise<void> {
  change("connecting");
  for (let retryMs = RETRY_MS; !signal.aborted; retryMs = Math.min(retryMs * 2, MAX_RETRY_MS)) {
    try {
      await listenOnce(signal, () => {
        retryMs = RETRY_MS / 2;
      });
    } catch {
      // It is tried again; a session that has ended closes the connection.
    }
    if (signal.aborted) return;
    streamId = undefined;
    if (state !== "lost") {
      change("lost");
      for (const watch of [...watches.keys()]) watch.onLost();
    }
    await sleep(retryMs * (0.75 + Math.random() / 2), signal);
  }
}

async function listenOnce(signal: AbortSignal, onHello: () => void): Promise<void> {
  const silent = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onBytes = (): void => {
    clearTimeout(timer);
    timer = setTimeout(() => silent.abort(), SILENCE_MS);
  };
  onBytes();
  const asked = listWatched();
  const query = asked.length === 0 ? "" : `?watch=${asked.join(",")}`;
  const events = readEvents<ServerEvent>(`/v1/sluice/events${query}`, {
    signal: AbortSignal.any([signal, silent.signal]),
    headers: lastEventId === "" ? {} : { "last-event-id": lastEventId },
    onBytes,
    onId: (id) => {
      lastEventId = id;
    },
  });
  try {
    for await (const event of events) {
      if (signal.aborted) return;
      if (event.type === "hello") {
        onHello();
        streamId = event.stream_id;
        statuses.clear();
        change("open");
        for (const watch of [...watches.keys()]) watch.onOpen();
        if (listWatched().join() !== asked.join()) sendWatched();
        if (event.has_gap) tell({ type: "gap" });
      }
      tell(event);
    }
  } finally {
    clearTimeout(timer);
  }
}

function tell(event: ServerEvent): void {
  for (const listener of [...listeners]) listener(event);
  if (!("request_id" in event) || event.type === "request") return;
  if (event.type === "status" || event.type === "gone")
    statuses.set(event.request_id, [...(statuses.get(event.request_id) ?? []), event]);
  for (const [watch, requestId] of [...watches]) if (requestId === event.request_id) watch.onEvent(event);
}

function listWatched(): readonly string[] {
  return [...new Set(watches.values())];
}

let isSending = false;

/** Tells the server what is watched now; several changes of one moment are one call. */
function sendWatched(): void {
  if (isSending || streamId === undefined) return;
  isSending = true;
  queueMicrotask(async () => {
    const id = streamId;
    const sent = listWatched();
    for (const known of statuses.keys()) if (!sent.includes(known)) statuses.delete(known);
    try {
      if (id !== undefined) await call(`/v1/sluice/events/${id}`, { method: "PUT", json: { watch: sent } });
    } catch {
      // Another process answered, or the stream broke: a new one is opened with what is watched in its address.
      if (id === streamId && connection !== undefined) {
        connection.abort();
        connection = new AbortController();
        streamId = undefined;
        void keepOpen(connection.signal);
      }
    } finally {
      isSending = false;
      if (id === streamId && listWatched().join() !== sent.join()) sendWatched();
    }
  });
}

function change(next: StreamState): void {
  if (next === state) return;
  state = next;
  for (const listener of [...stateListeners]) listener();
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
