export {
  ApiError,
  ConnectionError,
  ValidationError,
  type ValidationErrorInfo,
} from "./api-error.ts";
export {
  type BareQueue,
  config,
  fal,
  getConfig,
  queue,
  realtime,
  run,
  storage,
  stream,
  subscribe,
  webhooks,
} from "./bare.ts";
export { createFalClient, type FalClient, type StreamingClient } from "./client.ts";
export type { Config, CredentialsResolver, ProxyUrlConfig, RequiredConfig } from "./config.ts";
export { type EndpointId, parseEndpointId, parseEndpointId as parseAppId } from "./endpoint-url.ts";
// Everything, and not by name: only so can other modules add to the interface `EndpointTypes`.
export type * from "./endpoints.ts";
export type { FalStream, StreamingConnectionMode, StreamOptions } from "./fal-stream.ts";
export {
  type ProxyRuntimeEnv,
  type ProxyRuntimeGate,
  type RequestConfig,
  type RequestMiddleware,
  type RequestProxyConfig,
  withMiddleware,
  withProxy,
} from "./middleware.ts";
export type {
  QueueClient,
  QueuePriority,
  QueueStatusOptions,
  QueueStatusStreamOptions,
  QueueStatusSubscriptionOptions,
  SubmitOptions,
} from "./queue-client.ts";
export {
  type CompletedQueueStatus,
  type InProgressQueueStatus,
  type InQueueQueueStatus,
  isCompletedQueueStatus,
  isQueueStatus,
  type Metrics,
  type QueueStatus,
  type RequestLog,
} from "./queue-status.ts";
export type { ResponseHandler, Result } from "./read-response.ts";
export type { RealtimeClient, RealtimeConnection, RealtimeConnectionHandler } from "./realtime.ts";
export { isRetryableError, type RetryOptions } from "./retry.ts";
export type { RunOptions, UrlOptions } from "./run-options.ts";
export type { StorageClient } from "./storage-client.ts";
export type { StorageACL, StorageACLRule, StorageSettings } from "./storage-settings.ts";
export type { QueueSubscribeOptions } from "./subscribe.ts";
export type { TokenProvider } from "./temporary-token.ts";
export type { UploadOptions, UploadProgress, UploadSession } from "./upload.ts";
export type { Uploadable } from "./uploadable.ts";
export {
  type VerifyOptions,
  type WebHookResponse,
  type WebhookDelivery,
  type WebhooksClient,
  WebhookVerificationError,
} from "./webhooks.ts";
