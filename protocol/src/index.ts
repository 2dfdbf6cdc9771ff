export { type EndpointId, formatApp, formatEndpointId, parseEndpointId } from "./endpoint-id.ts";
export {
  createErrorDetail,
  createFlatError,
  type ErrorActor,
  type ErrorDetail,
  type ErrorEntry,
  type FlatErrorBody,
  getErrorStatus,
  type ListErrorBody,
  MODEL_ERRORS,
  type ModelErrorType,
  REQUEST_ERRORS,
  type RequestErrorType,
} from "./errors.ts";
export type {
  CompletedStatus,
  InProgressStatus,
  InQueueStatus,
  LogLevel,
  QueueStatus,
  QueueStatusWord,
  RequestLog,
} from "./queue-status.ts";
