import type {
  CompletedStatus,
  InProgressStatus,
  InQueueStatus,
  RequestLog as WireLog,
} from "@sluice/protocol";

/** One log line of a request. */
export type RequestLog = { -readonly [K in keyof WireLog]: WireLog[K] };

export type Metrics = {
  /** Seconds. */
  inference_time: number | null;
};

/** The request waits; `queue_position` requests are ahead of it. */
export type InQueueQueueStatus = { -readonly [K in keyof InQueueStatus]: InQueueStatus[K] };

/** The request runs. `logs` holds every line so far when logs were asked for, else nothing. */
export type InProgressQueueStatus = Omit<
  { -readonly [K in keyof InProgressStatus]: InProgressStatus[K] },
  "logs"
> & { logs: RequestLog[] };

/** The request ended. `error` is there only when it failed; the result call then throws. */
export type CompletedQueueStatus = Omit<
  { -readonly [K in keyof CompletedStatus]: CompletedStatus[K] },
  "logs" | "metrics"
> & { logs: RequestLog[]; metrics?: Metrics };

export type QueueStatus = InQueueQueueStatus | InProgressQueueStatus | CompletedQueueStatus;

export function isQueueStatus(value: unknown): value is QueueStatus {
  if (typeof value !== "object" || value === null) return false;
  const { status, response_url: url } = value as Partial<QueueStatus>;
  return (
    typeof url === "string" && (status === "IN_QUEUE" || status === "IN_PROGRESS" || status === "COMPLETED")
  );
}

export function isCompletedQueueStatus(value: unknown): value is CompletedQueueStatus {
  return isQueueStatus(value) && value.status === "COMPLETED";
}
