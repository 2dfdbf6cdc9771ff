import { type ReactNode, useCallback, useState } from "react";
import { call, describeError } from "../api/call.ts";
import type { ServerEvent } from "../api/event-stream.ts";
import { formatAgo } from "../api/requests.ts";
import { usePolled } from "../api/use-polled.ts";

interface Delivery {
  readonly url: string;
  readonly state: "owed" | "delivered" | "given_up";
  readonly next_attempt_at: string | null;
  readonly attempts: readonly {
    readonly at: string;
    readonly duration_ms: number;
    readonly status_code: number | null;
    readonly error: string | null;
  }[];
}

interface Deliveries {
  readonly deliveries: readonly Delivery[];
}

/** What became of a request's webhook, with a button that has it delivered again; nothing without one. */
export function DeliveriesPanel({ id }: { readonly id: string }): ReactNode {
  const path = `/v1/sluice/requests/${encodeURIComponent(id)}/deliveries`;
  const load = useCallback((signal: AbortSignal) => call<Deliveries>(path, { signal }), [path]);
  const isAboutThis = useCallback(
    (event: ServerEvent) => event.type === "request" && event.request_id === id,
    [id],
  );
  const { loaded, refresh } = usePolled(load, chooseInterval, isAboutThis);
  const [refusal, setRefusal] = useState<string>();
  const [delivery] = loaded.state === "loaded" ? loaded.value.deliveries : [];
  if (delivery === undefined) return null;
  const again = (): void => {
    setRefusal(undefined);
    call(path, { method: "POST" }).then(refresh, (error: unknown) => setRefusal(describeError(error)));
  };
  return (
    <section className="panel" aria-label="Webhook">
      <div className="panel-head">
        <h2>Webhook</h2>
        <button type="button" className="button button-small" onClick={again}>
          Deliver again
        </button>
      </div>
      <p>
        <span className={`state state-${STATE_COLORS[delivery.state]}`}>
          {delivery.state.replace("_", " ")}
        </span>{" "}
        <code>{delivery.url}</code>
      </p>
      {refusal === undefined ? null : (
        <p className="problem" role="alert">
          {refusal}
        </p>
      )}
      <ul className="attempts">
        {delivery.attempts.map(({ at, status_code, error, duration_ms }) => (
          <li key={at}>
            <span className="muted">{formatAgo(at)}</span> {status_code ?? "no answer"}
            {error === null ? "" : `: ${error}`} <span className="muted">{duration_ms} ms</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

const STATE_COLORS = { owed: "running", delivered: "succeeded", given_up: "failed" } as const;

/** What is settled does not change by itself. */
function chooseInterval({ deliveries }: Deliveries): number | undefined {
  return deliveries.some(({ state }) => state === "owed") ? 2_000 : undefined;
}
