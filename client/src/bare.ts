/**
 * The functions of `import * as fal`: one configuration for the whole program, and results without an envelope,
 * as programs written for `@fal-ai/serverless-client` expect. `fal` has the same configuration and answers with
 * `{ data, requestId }`, as in `@fal-ai/client`.
 */
import { createFalClient, type FalClient, run as runEndpoint } from "./client.ts";
import { type Config, createConfig, type RequiredConfig } from "./config.ts";
import type { EndpointTypeMap, InputType, OutputType } from "./endpoints.ts";
import type { FalStream, StreamOptions } from "./fal-stream.ts";
import {
  type BaseQueueOptions,
  getResult,
  type QueueStatusOptions,
  type QueueStatusStreamOptions,
  type QueueStatusSubscriptionOptions,
  type SubmitOptions,
  submit,
} from "./queue-client.ts";
import type {
  CompletedQueueStatus,
  InProgressQueueStatus,
  InQueueQueueStatus,
  Metrics,
  QueueStatus,
} from "./queue-status.ts";
import { createRealtimeClient, type RealtimeClient } from "./realtime.ts";
import type { RunOptions } from "./run-options.ts";
import type { StorageClient } from "./storage-client.ts";
import { type QueueSubscribeOptions, subscribe as subscribeToEndpoint } from "./subscribe.ts";
import type { Untyped } from "./untyped.ts";
import type { WebhooksClient } from "./webhooks.ts";

let current: { readonly config: RequiredConfig; readonly client: FalClient } | undefined;

/** Sets the configuration of the whole program, in place of the one before. */
export function config(config: Config): void {
  current = open(config);
}

/** The configuration in force. */
export function getConfig(): RequiredConfig {
  return getCurrent().config;
}

/** The client of the whole program; results come as `{ data, requestId }`. */
export const fal: FalClient & { config(config: Config): void } = {
  config,
  get queue() {
    return getCurrent().client.queue;
  },
  get storage() {
    return getCurrent().client.storage;
  },
  get realtime() {
    return getCurrent().client.realtime;
  },
  get streaming() {
    return getCurrent().client.streaming;
  },
  get webhooks() {
    return getCurrent().client.webhooks;
  },
  run: (id, options) => getCurrent().client.run(id, options),
  subscribe: (id, options) => getCurrent().client.subscribe(id, options),
  stream: (id, options) => getCurrent().client.stream(id, options),
};

type BareOptions = {
  /** Appended to the endpoint id. */
  readonly path?: string | undefined;
};

type TypedId = keyof EndpointTypeMap;

/** Calls an endpoint and waits on the same connection; resolves to the output. */
export function run<Input, Output>(id: string, options?: RunOptions<Input> & BareOptions): Promise<Output>;
export function run<Id extends TypedId>(
  id: Id,
  options: RunOptions<InputType<Id>> & BareOptions,
): Promise<OutputType<Id>>;
export async function run(id: string, options: RunOptions<Untyped> & BareOptions = {}): Promise<Untyped> {
  return (await runEndpoint(getConfig(), id, options)).data;
}

/** Submits a request to the queue, waits for its end and resolves to its output. */
export function subscribe<Input, Output>(
  id: string,
  options?: RunOptions<Input> & BareOptions & BareSubscribeOptions,
): Promise<Output>;
export function subscribe<Id extends TypedId>(
  id: Id,
  options: RunOptions<InputType<Id>> & BareOptions & BareSubscribeOptions,
): Promise<OutputType<Id>>;
export async function subscribe(id: string, options: Untyped = {}): Promise<Untyped> {
  return (await subscribeToEndpoint(getConfig(), id, options)).data;
}

/** Calls an endpoint that answers in parts. */
export function stream<Input = Record<string, Untyped>, Output = Untyped>(
  id: string,
  options: StreamOptions<Input>,
): Promise<FalStream<Input, Output>> {
  return getCurrent().client.stream(id, options as Untyped) as Promise<Untyped>;
}

/** A finished request always has metrics here; a server that sends none is read as "not measured". */
type BareCompletedStatus = CompletedQueueStatus & { metrics: Metrics };
type BareStatus = InQueueQueueStatus | InProgressQueueStatus | BareCompletedStatus;

type WithBareStatus<Options> = Options extends unknown
  ? Omit<Options, "onQueueUpdate"> & { onQueueUpdate?: ((status: BareStatus) => void) | undefined }
  : never;
type BareSubscribeOptions = WithBareStatus<QueueSubscribeOptions>;

export interface BareQueue {
  submit<Input>(endpointId: string, options: SubmitOptions<Input> & BareOptions): Promise<InQueueQueueStatus>;
  status(endpointId: string, options: QueueStatusOptions): Promise<BareStatus>;
  streamStatus(
    endpointId: string,
    options: QueueStatusStreamOptions,
  ): Promise<FalStream<unknown, QueueStatus>>;
  subscribeToStatus(
    endpointId: string,
    options: WithBareStatus<QueueStatusSubscriptionOptions>,
  ): Promise<BareCompletedStatus>;
  result<Output>(endpointId: string, options: BaseQueueOptions): Promise<Output>;
  cancel(endpointId: string, options: BaseQueueOptions): Promise<void>;
}

export const queue: BareQueue = {
  submit: (id, options) => submit(getConfig(), id, options),
  status: (id, options) => fal.queue.status(id, options) as Promise<BareStatus>,
  streamStatus: (id, options) => fal.queue.streamStatus(id, options),
  subscribeToStatus: (id, options) =>
    fal.queue.subscribeToStatus(
      id,
      options as QueueStatusSubscriptionOptions,
    ) as Promise<BareCompletedStatus>,
  result: async <Output>(id: string, options: BaseQueueOptions) =>
    (await getResult<Output>(getConfig(), id, options)).data,
  cancel: (id, options) => fal.queue.cancel(id, options),
};

export const storage: StorageClient = {
  upload: (file, options) => fal.storage.upload(file, options),
  transformInput: (input, options) => fal.storage.transformInput(input, options),
};

/** Adds a `request_id` to each input, which servers echo. */
export const realtime: RealtimeClient = {
  connect: (app, handler) => createRealtimeClient(getConfig(), { addsRequestId: true }).connect(app, handler),
};

export const webhooks: WebhooksClient = {
  verify: (request, options) => fal.webhooks.verify(request, options),
};

function getCurrent(): NonNullable<typeof current> {
  current ??= open({});
  return current;
}

function open(config: Config): NonNullable<typeof current> {
  return { config: createConfig(config), client: createFalClient(config) };
}
