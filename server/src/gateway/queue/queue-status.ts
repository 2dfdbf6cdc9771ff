import type { QueueStatus, RequestLog } from "@sluice/protocol";
import type { RequestId } from "../../ids.ts";
import type { RequestOutline, RequestQueue, StoredLog } from "../../queue/request-queue.ts";

/** The URLs of a request, in the short form: owner and alias only. */
export function formatRequestUrls(
  queueUrl: string,
  request: { readonly app: string; readonly id: RequestId },
): Pick<QueueStatus, "request_id" | "response_url" | "status_url" | "cancel_url"> {
  const url = `${queueUrl}/${request.app}/requests/${request.id}`;
  return {
    request_id: request.id,
    response_url: url,
    status_url: `${url}/status`,
    cancel_url: `${url}/cancel`,
  };
}

/** The status object of the wire. `logs` is null when they were not asked for. */
export function formatStatus(
  record: RequestOutline,
  parts: {
    readonly queueUrl: string;
    readonly position: number;
    readonly logs: readonly RequestLog[] | null;
  },
): QueueStatus {
  const urls = formatRequestUrls(parts.queueUrl, record);
  switch (record.state) {
    case "queued":
      return { status: "IN_QUEUE", ...urls, queue_position: parts.position };
    case "running":
      return { status: "IN_PROGRESS", ...urls, logs: parts.logs };
    case "succeeded":
    case "failed":
    case "cancelled":
      return {
        status: "COMPLETED",
        ...urls,
        logs: parts.logs,
        metrics: { inference_time: record.inferenceSeconds },
        ...(record.error === null ? {} : { error: record.error }),
        ...(record.errorType === null ? {} : { error_type: record.errorType }),
      };
    default:
      return record.state satisfies never;
  }
}

/** All log lines after `after`, however many, oldest first. */
export async function readLogs(
  queue: RequestQueue,
  id: RequestId,
  after = 0,
): Promise<{ readonly logs: readonly RequestLog[]; readonly last: number }> {
  const logs: RequestLog[] = [];
  let last = after;
  for (;;) {
    const page = await queue.listLogs(id, last, LOG_PAGE);
    for (const line of page) logs.push(toRequestLog(line));
    last = page.at(-1)?.sequence ?? last;
    if (page.length < LOG_PAGE) return { logs, last };
  }
}

const LOG_PAGE = 10_000;

function toRequestLog({ message, level, source, timestamp, labels }: StoredLog): RequestLog {
  return labels === undefined
    ? { message, level, source, timestamp }
    : { message, level, source, timestamp, labels };
}
