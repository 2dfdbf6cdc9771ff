import { type ReactNode, useCallback, useState } from "react";
import { Link } from "wouter";
import { call, describeError } from "../api/call.ts";
import type { ServerEvent } from "../api/event-stream.ts";
import { formatSeconds } from "../api/requests.ts";
import { usePolled } from "../api/use-polled.ts";
import { Alert } from "../shell/alert.tsx";

interface Queue {
  readonly endpoint_id: string;
  readonly is_offered: boolean;
  readonly queued: number;
  readonly running: number;
  readonly oldest_queued_at: string | null;
  readonly ended_per_minute: number;
  readonly is_paused: boolean;
}

/** Waits grow by themselves; all else comes with events. */
const LOOK_MS = 5_000;
const concernsQueues = (event: ServerEvent): boolean => event.type === "request" || event.type === "queue";

/** Depth, oldest wait and throughput of every endpoint's queue; pause it and let it go on. */
export function Queues(): ReactNode {
  const load = useCallback(
    (signal: AbortSignal) => call<{ readonly queues: readonly Queue[] }>("/v1/sluice/queues", { signal }),
    [],
  );
  const { loaded, problem, refresh } = usePolled(load, LOOK_MS, concernsQueues);
  const [refusal, setRefusal] = useState<string>();
  const act = (queue: Queue): void => {
    setRefusal(undefined);
    call(`/v1/sluice/queues/${queue.endpoint_id}/${queue.is_paused ? "resume" : "pause"}`, {
      method: "POST",
    }).then(refresh, (error: unknown) => setRefusal(describeError(error)));
  };
  return (
    <section aria-labelledby="queues-title">
      <h2 id="queues-title">Queues</h2>
      <Alert text={refusal ?? problem} />
      {loaded.state !== "loaded" ? null : (
        <div className="table-box">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Endpoint</th>
                <th scope="col" className="number-cell">
                  Waiting
                </th>
                <th scope="col" className="number-cell">
                  Oldest wait
                </th>
                <th scope="col" className="number-cell">
                  Running
                </th>
                <th scope="col" className="number-cell">
                  Ended a minute
                </th>
                <th scope="col">
                  <span className="visually-hidden">Pause</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {loaded.value.queues.map((queue) => (
                <tr key={queue.endpoint_id}>
                  <td>
                    {queue.is_offered ? (
                      <Link href={`/models/${queue.endpoint_id}`}>{queue.endpoint_id}</Link>
                    ) : (
                      <>
                        {queue.endpoint_id} <span className="muted">(not offered any more)</span>
                      </>
                    )}{" "}
                    {queue.is_paused ? <span className="state state-cancelled">paused</span> : null}
                  </td>
                  <td className="number-cell">{queue.queued}</td>
                  <td className="number-cell">{formatWait(queue.oldest_queued_at)}</td>
                  <td className="number-cell">{queue.running}</td>
                  <td className="number-cell">{formatRate(queue.ended_per_minute)}</td>
                  <td className="table-end">
                    <button
                      type="button"
                      className="button button-small"
                      aria-label={`${queue.is_paused ? "Resume" : "Pause"} ${queue.endpoint_id}`}
                      onClick={() => act(queue)}
                    >
                      {queue.is_paused ? "Resume" : "Pause"}
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <p className="muted">
        A paused endpoint takes requests and lets them wait. Rates are of the last five minutes.
      </p>
    </section>
  );
}

function formatWait(since: string | null): string {
  return since === null ? "–" : formatSeconds(Math.max(Date.now() - Date.parse(since), 0) / 1000);
}

function formatRate(perMinute: number): string {
  if (perMinute === 0) return "0";
  return perMinute < 10 ? perMinute.toFixed(1) : String(Math.round(perMinute));
}
