import { CODE_LANGUAGES } from "@sluice/protocol/snippets";
import { type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { Link, useLocation } from "wouter";
import { call, describeError } from "../api/call.ts";
import type { ServerEvent } from "../api/event-stream.ts";
import { formatAgo, formatSeconds, getRequest, type RequestDetail } from "../api/requests.ts";
import { useSession } from "../api/session.ts";
import { usePolled } from "../api/use-polled.ts";
import { CodeBlock } from "../code/code-block.tsx";
import { formatShare } from "../form/form-values.ts";
import { LogView } from "../playground/log-view.tsx";
import { ResultView } from "../playground/result-view.tsx";
import { Alert } from "../shell/alert.tsx";
import { SignInNotice } from "../shell/sign-in.tsx";
import { AttemptsPanel } from "./attempts.tsx";
import { DeliveriesPanel } from "./deliveries.tsx";
import { RequestFiles } from "./request-files.tsx";
import { StateLabel } from "./requests-page.tsx";
import { Timeline } from "./timeline.tsx";
import "../styles/requests.css";

/** One request: what it was asked, what happened, what came of it. */
export default function RequestPage({ id }: { readonly id: string }): ReactNode {
  const session = useSession();
  useEffect(() => {
    document.title = `Request ${id.slice(0, 8)} · Sluice`;
  }, [id]);
  return (
    <div className="page">
      <p>
        <Link href="/app/requests">Requests</Link>
      </p>
      {session === undefined ? <SignInNotice>Sign in to see this request.</SignInNotice> : <Detail id={id} />}
    </div>
  );
}

/** A finished request does not change any more. */
function chooseInterval(request: RequestDetail): number | undefined {
  return request.ended_at === null ? 2_000 : undefined;
}

function Detail({ id }: { readonly id: string }): ReactNode {
  const [, navigate] = useLocation();
  const logs = useRef<RequestDetail["logs"]>([]);
  // Lines that are here already are not asked for again: there may be ten thousand.
  const load = useCallback(
    async (signal: AbortSignal): Promise<RequestDetail> => {
      const after = logs.current.at(-1)?.sequence ?? 0;
      const detail = await getRequest(id, signal, after);
      if (detail.logs.length > 0) logs.current = [...logs.current, ...detail.logs];
      return { ...detail, logs: logs.current };
    },
    [id],
  );
  const isAboutThis = useCallback(
    (event: ServerEvent) => event.type === "request" && event.request_id === id,
    [id],
  );
  const { loaded, problem, refresh } = usePolled(load, chooseInterval, isAboutThis);
  const [refusal, setRefusal] = useState<string>();
  if (loaded.state === "loading") return <p className="empty">Loading …</p>;
  if (loaded.state === "failed")
    return (
      <p className="empty" role="alert">
        {loaded.message}
      </p>
    );
  const request = loaded.value;
  const input = request.json_input as Readonly<Record<string, unknown>> | undefined;
  const curl = CODE_LANGUAGES.find(({ id: language }) => language === "curl");
  const cancel = (): void => {
    const app = request.endpoint_id.split("/").slice(0, 2).join("/");
    call(`/queue/${app}/requests/${id}/cancel`, { method: "PUT" }).then(refresh, (error: unknown) =>
      setRefusal(describeError(error)),
    );
  };
  const again = (): void => {
    call<{ readonly request_id: string }>(`/queue/${request.endpoint_id}`, { json: input }).then(
      (made) => navigate(`/app/requests/${made.request_id}`),
      (error: unknown) => setRefusal(describeError(error)),
    );
  };
  return (
    <>
      <div className="model-head">
        <div>
          <h1 className="mono">{request.request_id}</h1>
          <p className="request-facts">
            <StateLabel request={request} />{" "}
            <Link href={`/models/${request.endpoint_id}`}>{request.endpoint_id}</Link>{" "}
            <span className="muted">
              made {formatAgo(request.created_at)} over {request.surface}
              {request.attempts > 1 ? ` · ${request.attempts} attempts` : ""}
              {request.inference_time === null ? "" : ` · model ${formatSeconds(request.inference_time)}`}
            </span>
          </p>
          {request.waiting === null ? null : (
            <p className="notice" role="status">
              <strong>Why it waits:</strong> {request.waiting.message}
            </p>
          )}
        </div>
        <div className="form-actions">
          {request.ended_at === null ? (
            <button type="button" className="button" onClick={cancel}>
              Cancel
            </button>
          ) : null}
          {input === undefined ? null : (
            <>
              <button type="button" className="button" onClick={again}>
                Run again
              </button>
              <Link
                className="button button-main"
                href={`/models/${request.endpoint_id}${formatShare(input) ?? ""}`}
              >
                Run again with edits
              </Link>
            </>
          )}
        </div>
      </div>
      <Alert text={refusal ?? problem} />
      {request.error === null ? null : (
        <p className="notice notice-bad">
          {request.error}
          {request.error_type === null ? "" : ` (${request.error_type})`}
        </p>
      )}
      <div className="detail">
        <div>
          <section className="panel" aria-label="Timeline">
            <h2>Timeline</h2>
            <Timeline request={request} />
          </section>
          <AttemptsPanel request={request} />
          <DeliveriesPanel id={id} />
          <section className="panel" aria-label="Input">
            <h2>Input</h2>
            {input === undefined ? (
              <p className="muted">Not stored any more.</p>
            ) : (
              <>
                <CodeBlock code={JSON.stringify(input, null, 2)} label="input" />
                {curl === undefined ? null : (
                  <details className="json">
                    <summary>As cURL</summary>
                    <CodeBlock
                      code={curl.format({ origin: location.origin, endpointId: request.endpoint_id, input })}
                      label="cURL code"
                    />
                  </details>
                )}
              </>
            )}
          </section>
          <section className="panel" aria-label="Log lines">
            <h2>Log</h2>
            {request.logs.length === 0 ? <p className="muted">No lines.</p> : <LogView logs={request.logs} />}
          </section>
        </div>
        <div>
          <section className="panel" aria-label="Output">
            <h2>Output</h2>
            {request.json_output === undefined ? (
              <p className="muted">{request.ended_at === null ? "Not yet." : "Not stored any more."}</p>
            ) : (
              <ResultView output={request.json_output} />
            )}
          </section>
          {request.ended_at === null ? null : <RequestFiles id={id} />}
        </div>
      </div>
    </>
  );
}
