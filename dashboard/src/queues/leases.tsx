import { type ReactNode, useCallback } from "react";
import { Link } from "wouter";
import { call } from "../api/call.ts";
import type { ServerEvent } from "../api/event-stream.ts";
import { formatAgo } from "../api/requests.ts";
import { usePolled } from "../api/use-polled.ts";
import { Alert } from "../shell/alert.tsx";

interface Lease {
  readonly request_id: string;
  readonly endpoint_id: string;
  readonly runner_id: string | null;
  readonly attempt: number;
  readonly started_at: string | null;
  readonly expires_at: string;
}

const LOOK_MS = 5_000;
const concernsLeases = (event: ServerEvent): boolean => event.type === "request";

/** Running requests with who holds them, and until when unless the lease is renewed. */
export function Leases(): ReactNode {
  const load = useCallback(
    (signal: AbortSignal) => call<{ readonly leases: readonly Lease[] }>("/v1/sluice/leases", { signal }),
    [],
  );
  const { loaded, problem } = usePolled(load, LOOK_MS, concernsLeases);
  return (
    <section aria-labelledby="leases-title">
      <h2 id="leases-title">Leases</h2>
      <Alert text={problem} />
      {loaded.state !== "loaded" ? null : loaded.value.leases.length === 0 ? (
        <p className="muted">No request of the queue runs now.</p>
      ) : (
        <div className="table-box">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Request</th>
                <th scope="col">Endpoint</th>
                <th scope="col">Started</th>
                <th scope="col" className="number-cell">
                  Attempt
                </th>
                <th scope="col" className="number-cell">
                  Lease ends in
                </th>
                <th scope="col">Held by</th>
              </tr>
            </thead>
            <tbody>
              {loaded.value.leases.map((lease) => (
                <tr key={lease.request_id}>
                  <td>
                    <Link className="mono" href={`/app/requests/${lease.request_id}`}>
                      {lease.request_id}
                    </Link>
                  </td>
                  <td>{lease.endpoint_id}</td>
                  <td>{lease.started_at === null ? "–" : formatAgo(lease.started_at)}</td>
                  <td className="number-cell">{lease.attempt}</td>
                  <td className="number-cell">{formatLeft(lease.expires_at)}</td>
                  <td className="mono">{lease.runner_id?.slice(0, 8) ?? "–"}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function formatLeft(time: string): string {
  return `${Math.max(Math.round((Date.parse(time) - Date.now()) / 1000), 0)} s`;
}
