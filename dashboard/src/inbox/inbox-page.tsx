import { createFalClient } from "@sluice/client";
import { quoteForShell } from "@sluice/protocol/snippets";
import { type ReactNode, useCallback, useEffect, useState } from "react";
import { Link } from "wouter";
import { call, describeError } from "../api/call.ts";
import type { ServerEvent } from "../api/event-stream.ts";
import { formatAgo } from "../api/requests.ts";
import { useSession } from "../api/session.ts";
import { usePolled } from "../api/use-polled.ts";
import { CodeBlock, CopyButton } from "../code/code-block.tsx";
import { SignInNotice } from "../shell/sign-in.tsx";
import "../styles/operations.css";

interface Delivery {
  readonly id: string;
  readonly received_at: string;
  readonly request_id: string | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Null when it is no text. */
  readonly body: string | null;
  readonly body_base64: string | null;
  readonly size_bytes: number;
  readonly is_cut: boolean;
}

interface Inbox {
  readonly url: string;
  readonly max_deliveries: number;
  readonly deliveries: readonly Delivery[];
  readonly has_more: boolean;
}

/** Receives the webhooks of an app under development, and says whether this server signed them. */
export default function InboxPage(): ReactNode {
  const session = useSession();
  useEffect(() => {
    document.title = "Webhooks · Sluice";
  }, []);
  return (
    <div className="page operations">
      <h1>Webhooks inbox</h1>
      {session === undefined ? <SignInNotice>Sign in to see your inbox.</SignInNotice> : <InboxView />}
    </div>
  );
}

const LOOK_MS = 15_000;
const PAGE = 20;
const concernsInbox = (event: ServerEvent): boolean => event.type === "inbox";

function InboxView(): ReactNode {
  const [limit, setLimit] = useState(PAGE);
  const load = useCallback(
    (signal: AbortSignal) => call<Inbox>(`/v1/sluice/inbox?limit=${limit}`, { signal }),
    [limit],
  );
  const { loaded, problem, refresh } = usePolled(load, LOOK_MS, concernsInbox);
  const [refusal, setRefusal] = useState<string>();
  const send = (path: string, method: string): void => {
    setRefusal(undefined);
    call(path, { method }).then(refresh, (error: unknown) => setRefusal(describeError(error)));
  };
  const shown = refusal ?? problem;
  const notice =
    shown === undefined ? null : (
      <p className="notice" role="alert">
        {shown}
      </p>
    );
  if (loaded.state !== "loaded") return notice;
  const { url, deliveries, max_deliveries, has_more } = loaded.value;
  return (
    <>
      <section className="panel" aria-label="Address">
        <p>
          Give this address as <code>fal_webhook</code> (<code>webhookUrl</code> in clients) while you work on
          an app. This server delivers to it wherever it runs; the address is a secret of your account.
        </p>
        <CodeBlock code={url} label="address of the inbox" />
        <p className="muted">
          The newest {max_deliveries} deliveries are kept. To have them passed on to your app, run{" "}
          <code>sluice webhooks listen --forward http://127.0.0.1:3000/…</code> instead.
        </p>
      </section>
      {notice}
      <section aria-labelledby="received-title">
        <div className="panel-head">
          <h2 id="received-title">Received</h2>
          <button
            type="button"
            className="button button-small"
            disabled={deliveries.length === 0}
            onClick={() => send("/v1/sluice/inbox", "DELETE")}
          >
            Clear
          </button>
        </div>
        {deliveries.length === 0 ? (
          <p className="empty">Nothing came in yet.</p>
        ) : (
          <ul className="deliveries">
            {deliveries.map((delivery) => (
              <DeliveryView
                key={delivery.id}
                delivery={delivery}
                url={url}
                onRedeliver={(id) => send(`/v1/sluice/requests/${id}/deliveries`, "POST")}
              />
            ))}
          </ul>
        )}
        {has_more ? (
          <button type="button" className="button" onClick={() => setLimit(limit + PAGE)}>
            Older
          </button>
        ) : null}
      </section>
    </>
  );
}

function DeliveryView(props: {
  readonly delivery: Delivery;
  readonly url: string;
  onRedeliver(requestId: string): void;
}): ReactNode {
  const { delivery, url, onRedeliver } = props;
  const { request_id: id, headers, received_at: at, size_bytes: size } = delivery;
  const verdict = useVerdict(delivery);
  return (
    <li className="panel">
      <div className="delivery-head">
        <span className={`state state-${verdict.color}`}>{verdict.text}</span>
        {id === null ? (
          <span className="muted">no request id</span>
        ) : (
          <Link className="mono" href={`/app/requests/${encodeURIComponent(id)}`}>
            {id}
          </Link>
        )}
        <span className="muted">
          <time dateTime={at} title={new Date(at).toLocaleString()}>
            {formatAgo(at)}
          </time>
          , {size} bytes
        </span>
        <div className="form-actions">
          {verdict.color === "succeeded" && id !== null ? (
            <button type="button" className="button button-small" onClick={() => onRedeliver(id)}>
              Deliver again
            </button>
          ) : null}
          <CopyButton text={formatReplay(delivery, url)} label="of this delivery">
            Copy as cURL
          </CopyButton>
        </div>
      </div>
      {verdict.reason === undefined ? null : <p className="muted">{verdict.reason}</p>}
      <details className="json">
        <summary>Headers</summary>
        <dl className="header-list">
          {Object.entries(headers).map(([name, value]) => (
            <div key={name} className="header-pair">
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </details>
      <details className="json" open>
        <summary>Body{delivery.is_cut ? " (its begin: it was too long to keep)" : ""}</summary>
        <CodeBlock code={formatBody(delivery)} label="body" />
      </details>
    </li>
  );
}

interface Verdict {
  readonly color: "succeeded" | "failed" | "cancelled";
  readonly text: string;
  readonly reason?: string;
}

const { webhooks } = createFalClient({ url: location.origin });
/** Deliveries do not change, and neither do verdicts. */
const verdicts = new Map<string, Promise<Verdict>>();

function useVerdict(delivery: Delivery): Verdict {
  const [verdict, setVerdict] = useState<Verdict>({ color: "cancelled", text: "checking" });
  useEffect(() => {
    let isGone = false;
    let found = verdicts.get(delivery.id);
    if (found === undefined) {
      found = verify(delivery);
      verdicts.set(delivery.id, found);
    }
    void found.then((value) => !isGone && setVerdict(value));
    return () => {
      isGone = true;
    };
  }, [delivery]);
  return verdict;
}

/** As a receiver does it, by the keys that this server publishes, at the time at which it came in. */
async function verify({ headers, body, body_base64, is_cut, received_at }: Delivery): Promise<Verdict> {
  if (is_cut) return { color: "cancelled", text: "not checked", reason: "Its body was not kept whole." };
  if (globalThis.crypto?.subtle === undefined)
    return {
      color: "cancelled",
      text: "not checked",
      reason: "Browsers check signatures on https and on this machine only.",
    };
  const bytes = body ?? Uint8Array.from(atob(body_base64 ?? ""), (character) => character.charCodeAt(0));
  try {
    await webhooks.verify(
      { headers, body: bytes },
      { now: Date.parse(received_at), jwksUrl: `${location.origin}/.well-known/jwks.json` },
    );
    return { color: "succeeded", text: "verified" };
  } catch (error) {
    return { color: "failed", text: "not verified", reason: describeError(error) };
  }
}

function formatBody({ body, body_base64 }: Delivery): string {
  if (body === null) return body_base64 ?? "";
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

/** The same bytes with the same signature, to be sent to whatever address one puts in. */
function formatReplay({ headers, body }: Delivery, url: string): string {
  const kept = Object.entries(headers).filter(([name]) => /^(x-fal-webhook-|content-type$)/.test(name));
  const lines = [
    `curl --request POST ${quoteForShell(url)}`,
    ...kept.map(([name, value]) => `  --header ${quoteForShell(`${name}: ${value}`)}`),
    `  --data-binary ${quoteForShell(body ?? "")}`,
  ];
  return lines.join(" \\\n");
}
