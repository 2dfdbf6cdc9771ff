/** The three words a queue status may have on the wire. A failed or cancelled request is COMPLETED too. */
export type QueueStatusWord = "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED";

export type LogLevel = "STDERR" | "STDOUT" | "ERROR" | "INFO" | "WARN" | "DEBUG";

/** One log line of a request. */
export interface RequestLog {
  readonly message: string;
  readonly level: LogLevel;
  readonly source: "USER";
  /** ISO 8601 with an offset. */
  readonly timestamp: string;
  readonly labels?: Readonly<Record<string, string>>;
}

interface QueueStatusCommon {
  readonly request_id: string;
  readonly response_url: string;
  readonly status_url: string;
  readonly cancel_url: string;
}

export interface InQueueStatus extends QueueStatusCommon {
  readonly status: "IN_QUEUE";
  /** Number of requests ahead; 0 is next. */
  readonly queue_position: number;
}

export interface InProgressStatus extends QueueStatusCommon {
  readonly status: "IN_PROGRESS";
  /** All lines so far when logs were asked for, else null. */
  readonly logs: readonly RequestLog[] | null;
}

export interface CompletedStatus extends QueueStatusCommon {
  readonly status: "COMPLETED";
  readonly logs: readonly RequestLog[] | null;
  readonly metrics?: { readonly inference_time: number | null };
  /** Present only when the request failed. */
  readonly error?: string;
  readonly error_type?: string;
}

export type QueueStatus = InQueueStatus | InProgressStatus | CompletedStatus;
