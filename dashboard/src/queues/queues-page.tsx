import { type ReactNode, useCallback, useEffect, useState } from "react";
import { Link } from "wouter";
import { call, describeError } from "../api/call.ts";
import { formatAgo } from "../api/requests.ts";
import { useSession } from "../api/session.ts";
import { usePolled } from "../api/use-polled.ts";
import { SignInNotice } from "../shell/sign-in.tsx";

interface Queue {
  readonly endpoint_id: string;
  readonly is_offered: boolean;
  readonly queued: number;
  readonly running: number;
  readonly oldest_queued_at: string | null;
  readonly is_paused: boolean;
}

/** Depth of every endpoint's queue; pause it and let it go on. */
export default function QueuesPage(): ReactNode {
  const session = useSession();
  useEffect(() => {
    document.title = "Queues · Sluice";
  }, []);
  return (
    <div className="page">
      <h1>Queues</h1>
      {session?.scope === "ADMIN" ? (
        <Queues />
      ) : (
        <SignInNotice>Queues are an operator&apos;s: sign in with a key of scope ADMIN.</SignInNotice>
      )}
    </div>
  );
}

const LOOK_MS = 2_000;

function Queues(): ReactNode {
  const load = useCallback(
    (signal: AbortSignal) => call<{ readonly queues: readonly Queue[] }>("/v1/sluice/queues", { signal }),
    [],
  );
  const { loaded, problem, refresh } = usePolled(load, LOOK_MS);
  const [refusal, setRefusal] = useState<string>();
  const act = (queue: Queue): void => {
    setRefusal(undefined);
    call(`/v1/sluice/queues/${queue.endpoint_id}/${queue.is_paused ? "resume" : "pause"}`, {
      method: "POST",
    }).then(refresh, (error: unknown) => setRefusal(describeError(error)));
  };
  return (
    <>
      {(refusal ?? problem) === undefined ? null : (
        <p className="notice" role="alert">
          {refusal ?? problem}
        </p>
      )}
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
                  Running
                </th>
                <th scope="col">Oldest</th>
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
                  <td className="number-cell">{queue.running}</td>
                  <td>{queue.oldest_queued_at === null ? "" : formatAgo(queue.oldest_queued_at)}</td>
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
    </>
  );
}
