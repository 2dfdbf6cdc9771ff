import { openScope } from "./abort.ts";
import { type Config, createConfig, type RequiredConfig } from "./config.ts";
import { buildEndpointUrl } from "./endpoint-url.ts";
import type { EndpointType, InputType, OutputType } from "./endpoints.ts";
import { FalStream, type StreamOptions } from "./fal-stream.ts";
import { createInputCall, createQueueClient, type QueueClient, readResult } from "./queue-client.ts";
import type { Result } from "./read-response.ts";
import { createRealtimeClient, type RealtimeClient } from "./realtime.ts";
import { buildRunHeaders, type RunOptions } from "./run-options.ts";
import { send } from "./send.ts";
import { createStorageClient, type StorageClient, uploadInputFiles } from "./storage-client.ts";
import { type QueueSubscribeOptions, subscribe } from "./subscribe.ts";
import type { WebhooksClient } from "./webhooks.ts";
import { createWebhooksClient } from "./webhooks-client.ts";

export interface StreamingClient {
  /** Calls an endpoint that answers in parts. Resolves as soon as the files of the input are uploaded. */
  stream<Id extends EndpointType>(
    endpointId: Id,
    options: StreamOptions<InputType<Id>>,
  ): Promise<FalStream<InputType<Id>, OutputType<Id>>>;
}

export interface FalClient {
  readonly queue: QueueClient;
  readonly storage: StorageClient;
  readonly streaming: StreamingClient;
  readonly realtime: RealtimeClient;
  readonly webhooks: WebhooksClient;
  /** Calls an endpoint and waits on the same connection: nothing is queued, and a lost connection loses the call. */
  run<Id extends EndpointType>(
    endpointId: Id,
    options: RunOptions<InputType<Id>>,
  ): Promise<Result<OutputType<Id>>>;
  /** Submits a request to the queue, waits for its end and returns its output. */
  subscribe<Id extends EndpointType>(
    endpointId: Id,
    options: RunOptions<InputType<Id>> & QueueSubscribeOptions,
  ): Promise<Result<OutputType<Id>>>;
  stream: StreamingClient["stream"];
}

/** A client with a configuration of its own. */
export function createFalClient(userConfig?: Config): FalClient {
  const config = createConfig(userConfig);
  const streaming: StreamingClient = { stream: (id, options) => stream(config, id, options) };
  return {
    queue: createQueueClient(config),
    storage: createStorageClient(config),
    streaming,
    realtime: createRealtimeClient(config),
    webhooks: createWebhooksClient(config),
    run: (id, options) => run(config, id, options),
    subscribe: (id, options) => subscribe(config, id, options),
    stream: streaming.stream,
  };
}

/** Tried again only a few times: somebody waits on the line. */
const RUN_RETRY = { baseDelay: 500, maxDelay: 15_000 };

export async function run<Input, Output>(
  config: RequiredConfig,
  id: string,
  options: RunOptions<Input> & { readonly path?: string | undefined },
): Promise<Result<Output>> {
  const scope = openScope(
    options.abortSignal,
    options.timeout,
    `${id} took longer than ${options.timeout}ms`,
  );
  try {
    const headers = buildRunHeaders(options);
    const url = buildEndpointUrl(config, "run", id, { path: options.path });
    const call = await createInputCall(config, url, options, scope.signal);
    return await send(config, { ...call, headers, retry: RUN_RETRY }, (response) =>
      readResult(config, response),
    );
  } finally {
    scope.close();
  }
}

export async function stream<Input, Output>(
  config: RequiredConfig,
  id: string,
  options: StreamOptions<Input>,
): Promise<FalStream<Input, Output>> {
  const { input, autoUpload = true, signal } = options;
  if (!autoUpload || !input) return new FalStream(id, config, options);
  return new FalStream(id, config, { ...options, input: await uploadInputFiles(config, input, signal) });
}
