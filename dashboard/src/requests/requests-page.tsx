import { type ReactNode, useCallback, useEffect } from "react";
import { Link } from "wouter";
import type { ServerEvent } from "../api/event-stream.ts";
import { type Key, listKeys } from "../api/keys.ts";
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
import { Alert } from "../shell/alert.tsx";
import { FilterChoice, FilterText, Pager } from "../shell/list-controls.tsx";
import { SignInNotice } from "../shell/sign-in.tsx";
import { type Filter, useFilter } from "../shell/use-filter.ts";
import "../styles/requests.css";

/** Events tell at once; this is for what another process of the server did. */
const LOOK_MS = 10_000;
const isAboutRequests = (event: ServerEvent): boolean => event.type === "request";
const FILTERS = ["q", "endpoint_id", "state", "key_id", "time", "from", "to"] as const;
type Values = Filter<(typeof FILTERS)[number]>["values"];
const PAGE = 50;

/** What this server was asked, newest first, kept up to date. */
export default function RequestsPage(): ReactNode {
  const session = useSession();
  useEffect(() => {
    document.title = "Requests · Sluice";
  }, []);
  return (
    <div className="page">
      <h1>Requests</h1>
      {session === undefined ? (
        <SignInNotice>Sign in to see your requests.</SignInNotice>
      ) : (
        <RequestList isOperator={session.scope === "ADMIN"} />
      )}
    </div>
  );
}

function RequestList({ isOperator }: { readonly isOperator: boolean }): ReactNode {
  const filter = useFilter(FILTERS);
  const { values, change, cursor } = filter;
  const key = JSON.stringify([values, cursor]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key is the values and the cursor
  const load = useCallback(
    (signal: AbortSignal) =>
      findPage({ ...createFilter(values), ...(cursor === undefined ? {} : { cursor }) }, signal),
    [key],
  );
  const { loaded, problem } = usePolled(load, LOOK_MS, isAboutRequests);
  return (
    <>
      <Filters values={values} isOperator={isOperator} onChange={change} />
      <Alert text={problem} />
      <Rows loaded={loaded} hasFilter={Object.keys(values).length > 0} />
      {loaded.state !== "loaded" ? null : (
        <>
          <SearchedTo page={loaded.value} onFurther={filter.goOlder} />
          <Pager filter={filter} next={loaded.value.next_cursor} />
        </>
      )}
    </>
  );
}

const TIMES = [
  ["", "any"],
  ["1h", "last hour"],
  ["24h", "last 24 hours"],
  ["168h", "last 7 days"],
  ["720h", "last 30 days"],
  ["custom", "from … to …"],
] as const;

function Filters(props: {
  readonly values: Values;
  readonly isOperator: boolean;
  onChange(next: Values): void;
}): ReactNode {
  const { values, isOperator, onChange } = props;
  const models = useModels();
  const endpoints = models.state === "loaded" ? models.value.map(({ endpointId }) => endpointId) : [];
  const set =
    (name: (typeof FILTERS)[number]) =>
    (value: string): void =>
      onChange({ [name]: value });
  const setText = useCallback((q: string) => onChange({ q }), [onChange]);
  return (
    <search className="filters" aria-label="Filters">
      <FilterText
        label="Text"
        value={values.q}
        placeholder="in prompts, errors, tags, ids"
        onChange={setText}
      />
      <FilterChoice
        label="Endpoint"
        value={values.endpoint_id}
        choices={[["", "all"], ...endpoints.map((id) => [id, id] as const)]}
        onChange={set("endpoint_id")}
      />
      <FilterChoice
        label="State"
        value={values.state}
        choices={[["", "all"], ...STATES.map((state) => [state, state] as const)]}
        onChange={set("state")}
      />
      {isOperator ? <KeyFilter value={values.key_id} onChange={set("key_id")} /> : null}
      <FilterChoice
        label="Time"
        value={values.time}
        choices={TIMES}
        onChange={(time) => onChange({ time, ...(time === "custom" ? {} : { from: "", to: "" }) })}
      />
      {values.time !== "custom" ? null : (
        <>
          <label>
            From
            <input
              className="input"
              type="datetime-local"
              value={values.from ?? ""}
              onChange={(event) => onChange({ from: event.target.value })}
            />
          </label>
          <label>
            To
            <input
              className="input"
              type="datetime-local"
              value={values.to ?? ""}
              onChange={(event) => onChange({ to: event.target.value })}
            />
          </label>
        </>
      )}
    </search>
  );
}

const KEYS_LOOK_MS = 60_000;

function KeyFilter(props: { readonly value: string | undefined; onChange(value: string): void }): ReactNode {
  const { loaded } = usePolled(listKeys, KEYS_LOOK_MS);
  const keys: readonly Key[] = loaded.state === "loaded" ? loaded.value : [];
  return (
    <FilterChoice
      label="Key"
      value={props.value}
      choices={[["", "all"], ...keys.map(({ key_id: id, alias }) => [id, alias] as const)]}
      onChange={props.onChange}
    />
  );
}

function createFilter({ time, from, to, q, ...plain }: Values): RequestFilter {
  const hours = Number(/^(\d+)h$/.exec(time ?? "")?.[1] ?? 0);
  const isId = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/.test(q ?? "");
  return {
    ...plain,
    ...(q === undefined ? {} : isId ? { request_id: q } : { q }),
    ...(hours > 0 ? { start: new Date(Date.now() - hours * 3_600_000).toISOString() } : {}),
    ...(time === "custom" && isTime(from) ? { start: new Date(from).toISOString() } : {}),
    ...(time === "custom" && isTime(to) ? { end: new Date(to).toISOString() } : {}),
  };
}

function isTime(text: string | undefined): text is string {
  return text !== undefined && !Number.isNaN(Date.parse(text));
}

/** Parts of the history that one look goes through for a text; each is 2,000 requests. */
const MAX_PARTS = 20;

/** One page. A search by text goes on from part to part of the history until the page is full, up to a bound. */
async function findPage(filter: RequestFilter, signal: AbortSignal): Promise<RequestPage> {
  const found: RequestRow[] = [];
  let cursor = filter.cursor;
  for (let parts = 1; ; parts++) {
    const page = await listRequests(
      {
        ...filter,
        expand: "excerpt",
        limit: PAGE - found.length,
        ...(cursor === undefined ? {} : { cursor }),
      },
      signal,
    );
    found.push(...page.requests);
    if (page.searched_to === null || page.next_cursor === null || parts === MAX_PARTS)
      return { ...page, requests: found };
    cursor = page.next_cursor;
  }
}

/** Says how far a search looked, and goes on. */
function SearchedTo(props: { readonly page: RequestPage; onFurther(cursor: string): void }): ReactNode {
  const { page, onFurther } = props;
  const { searched_to: searchedTo, next_cursor: next } = page;
  if (searchedTo === null || next === null) return null;
  return (
    <p className="notice searched" role="status">
      Looked at everything back to {new Date(searchedTo).toLocaleString()}.{" "}
      <button type="button" className="button button-small" onClick={() => onFurther(next)}>
        Look further back
      </button>
    </p>
  );
}

function Rows({
  loaded,
  hasFilter,
}: {
  readonly loaded: Loaded<RequestPage>;
  hasFilter: boolean;
}): ReactNode {
  if (loaded.state === "loading") return <p className="empty">Loading …</p>;
  if (loaded.state === "failed") return null;
  const { requests } = loaded.value;
  if (requests.length === 0)
    return (
      <p className="empty">
        {hasFilter ? "No request is like that." : "No requests here. Make one in a playground."}
      </p>
    );
  return (
    <div className="table-box">
      <table className="table requests">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Endpoint</th>
            <th scope="col">Input</th>
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
              <td className="excerpt" title={request.input_excerpt ?? undefined}>
                {request.input_excerpt}
                {request.error === null ? null : <span className="excerpt-error">{request.error}</span>}
              </td>
              <td>
                <time dateTime={request.created_at} title={new Date(request.created_at).toLocaleString()}>
                  {formatAgo(request.created_at)}
                </time>
              </td>
              <td>{formatTook(request)}</td>
              <td>
                <Link
                  className="mono short-id"
                  href={`/app/requests/${request.request_id}`}
                  title={request.request_id}
                >
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
