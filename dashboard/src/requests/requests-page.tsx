import { type ReactNode, useCallback, useEffect, useState } from "react";
import { Link } from "wouter";
import type { ServerEvent } from "../api/event-stream.ts";
import { type Loaded, useModels } from "../api/models.ts";
import {
  formatAgo,
  formatSeconds,
  listRequests,
  type RequestFilter,
  type RequestPage,
  type RequestRow,
  STATES,
} from "../api/requests.ts";
import { useSession } from "../api/session.ts";
import { usePolled } from "../api/use-polled.ts";
import { SignInNotice } from "../shell/sign-in.tsx";

/** Events tell at once; this is for what another process of the server did. */
const LOOK_MS = 10_000;
const isAboutRequests = (event: ServerEvent): boolean => event.type === "request";

/** What this server was asked, newest first, kept up to date. */
export default function RequestsPage(): ReactNode {
  const session = useSession();
  useEffect(() => {
    document.title = "Requests · Sluice";
  }, []);
  return (
    <div className="page">
      <h1>Requests</h1>
      {session === undefined ? <SignInNotice>Sign in to see your requests.</SignInNotice> : <RequestList />}
    </div>
  );
}

function RequestList(): ReactNode {
  const models = useModels();
  const [filter, setFilter] = useState<RequestFilter>({});
  // Cursors of the pages before the one that is shown.
  const [trail, setTrail] = useState<readonly string[]>([]);
  const cursor = trail.at(-1);
  const load = useCallback(
    (signal: AbortSignal) => listRequests({ ...filter, ...(cursor === undefined ? {} : { cursor }) }, signal),
    [filter, cursor],
  );
  const { loaded, problem } = usePolled(load, LOOK_MS, isAboutRequests);
  const change = (next: RequestFilter): void => {
    setTrail([]);
    setFilter({ ...filter, ...next });
  };
  return (
    <>
      <search className="filters" aria-label="Filters">
        <label>
          Endpoint
          <select
            className="input"
            value={filter.endpointId ?? ""}
            onChange={(event) => change({ endpointId: event.target.value })}
          >
            <option value="">all</option>
            {models.state === "loaded"
              ? models.value.map(({ endpointId }) => (
                  <option key={endpointId} value={endpointId}>
                    {endpointId}
                  </option>
                ))
              : null}
          </select>
        </label>
        <label>
          State
          <select
            className="input"
            value={filter.state ?? ""}
            onChange={(event) => change({ state: event.target.value })}
          >
            <option value="">all</option>
            {STATES.map((state) => (
              <option key={state} value={state}>
                {state}
              </option>
            ))}
          </select>
        </label>
        <label>
          Request id
          <input
            className="input"
            type="search"
            value={filter.requestId ?? ""}
            onChange={(event) => change({ requestId: event.target.value.trim() })}
          />
        </label>
      </search>
      {problem === undefined ? null : (
        <p className="notice" role="alert">
          {problem}
        </p>
      )}
      <Rows loaded={loaded} />
      {loaded.state !== "loaded" ? null : (
        <div className="pager">
          <button
            type="button"
            className="button"
            disabled={trail.length === 0}
            onClick={() => setTrail(trail.slice(0, -1))}
          >
            Newer
          </button>
          <button
            type="button"
            className="button"
            disabled={loaded.value.next_cursor === null}
            onClick={() =>
              loaded.value.next_cursor !== null && setTrail([...trail, loaded.value.next_cursor])
            }
          >
            Older
          </button>
        </div>
      )}
    </>
  );
}

function Rows({ loaded }: { readonly loaded: Loaded<RequestPage> }): ReactNode {
  if (loaded.state === "loading") return <p className="empty">Loading …</p>;
  if (loaded.state === "failed") return null;
  const { requests } = loaded.value;
  if (requests.length === 0) return <p className="empty">No requests here. Make one in a playground.</p>;
  return (
    <div className="table-box">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Endpoint</th>
            <th scope="col">Made</th>
            <th scope="col">Took</th>
            <th scope="col">Request</th>
          </tr>
        </thead>
        <tbody>
          {requests.map((request) => (
            <tr key={request.request_id}>
              <td>
                <StateLabel request={request} />
              </td>
              <td>
                <Link href={`/models/${request.endpoint_id}`}>{request.endpoint_id}</Link>
              </td>
              <td>
                <time dateTime={request.created_at} title={new Date(request.created_at).toLocaleString()}>
                  {formatAgo(request.created_at)}
                </time>
              </td>
              <td>{formatTook(request)}</td>
              <td>
                <Link className="mono" href={`/app/requests/${request.request_id}`}>
                  {request.request_id}
                </Link>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The state as a word in a colour; of a failure also its status. */
export function StateLabel({ request }: { readonly request: RequestRow }): ReactNode {
  const code = request.state === "failed" && request.status_code !== null ? ` ${request.status_code}` : "";
  return (
    <span className={`state state-${request.state}`}>
      {request.state}
      {code}
    </span>
  );
}

function formatTook({ started_at, ended_at, created_at }: RequestRow): string {
  if (ended_at === null) return "";
  return formatSeconds((Date.parse(ended_at) - Date.parse(started_at ?? created_at)) / 1000);
}
