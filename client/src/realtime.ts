import { ApiError } from "./api-error.ts";
import type { RequiredConfig } from "./config.ts";
import type { Connection } from "./realtime-connection.ts";
import { isBrowser } from "./runtime.ts";
import type { TokenProvider } from "./temporary-token.ts";
import type { Untyped } from "./untyped.ts";

type WithRequestId = {
  request_id: string;
};

export interface RealtimeConnection<Input> {
  /** Sends an input; opens the connection if there is none. */
  send(input: Input & Partial<WithRequestId>): void;
  /** Ends the connection; nothing is reported after it. A later `send` opens a new one. */
  close(): void;
}

export interface RealtimeConnectionHandler<Output> {
  /** Calls of `connect` with the same key share one connection; the latest handler gets what comes. */
  connectionKey?: string | undefined;
  /** Do nothing outside of a page, for code that is rendered on a server too. */
  clientOnly?: boolean | undefined;
  /** Milliseconds between inputs, 128 by default: of those in between, the last one is sent. */
  throttleInterval?: number | undefined;
  /** Inputs that the server keeps waiting, 1 to 60; the oldest is dropped for a new one. */
  maxBuffering?: number | undefined;
  /** Appended to the endpoint id; `/realtime` by default. */
  path?: string | undefined;
  /** Bytes or text of an input; msgpack by default. */
  encodeMessage?: ((input: Untyped) => Uint8Array | string) | undefined;
  decodeMessage?: ((data: Untyped) => Promise<Untyped> | Untyped) | undefined;
  onResult(result: Output & WithRequestId): void;
  onError?(error: ApiError<Untyped>): void;
  /** Gives the token of a connection; by default the server is asked, with the key or through the proxy. */
  tokenProvider?: TokenProvider | undefined;
  /** How long a token of `tokenProvider` may be used for new connections. Unset: once. */
  tokenExpirationSeconds?: number | undefined;
}

export interface RealtimeClient {
  /** Talks to an endpoint over a WebSocket, which is opened by the first `send`. */
  connect<Input = Untyped, Output = Untyped>(
    app: string,
    handler: RealtimeConnectionHandler<Output>,
  ): RealtimeConnection<Input>;
}

/** A connection, loaded at the first `send`, and whoever listens to it now. */
interface Slot {
  handler: RealtimeConnectionHandler<Untyped>;
  connection?: Promise<Connection>;
}

/** By configuration, so that calls of `connect` with one key find each other. */
const slotsByConfig = new WeakMap<RequiredConfig, Map<string, Slot>>();

export function createRealtimeClient(
  config: RequiredConfig,
  { addsRequestId = false }: { readonly addsRequestId?: boolean } = {},
): RealtimeClient {
  return {
    connect(app, handler) {
      const { clientOnly, maxBuffering, connectionKey } = handler;
      const isInRange =
        Number.isInteger(maxBuffering) && Number(maxBuffering) >= 1 && Number(maxBuffering) <= 60;
      if (maxBuffering !== undefined && !isInRange) {
        throw new Error(`maxBuffering must be a whole number from 1 to 60, not ${maxBuffering}`);
      }
      if (clientOnly && !isBrowser()) return { send() {}, close() {} };
      const slot = findSlot(config, connectionKey) ?? { handler };
      slot.handler = handler;
      if (connectionKey !== undefined) slotsByConfig.get(config)?.set(connectionKey, slot);
      const load = async () => {
        // The protocol's codec is half of the whole client: only who uses realtime loads it.
        const { openConnection } = await import("./realtime-connection.ts");
        return openConnection({ config, app, getHandler: () => slot.handler, addsRequestId });
      };
      return {
        send(input) {
          slot.connection ??= load();
          slot.connection.then(
            (connection) => connection.send(input),
            (cause: unknown) => {
              delete slot.connection;
              const message = "The code for realtime cannot be loaded";
              slot.handler.onError?.(new ApiError({ message, status: 0, cause }));
            },
          );
        },
        close() {
          slot.connection?.then((connection) => connection.close()).catch(() => undefined);
        },
      };
    },
  };
}

function findSlot(config: RequiredConfig, key: string | undefined): Slot | undefined {
  const slots = slotsByConfig.get(config) ?? new Map<string, Slot>();
  slotsByConfig.set(config, slots);
  return key === undefined ? undefined : slots.get(key);
}
