import type { ReactNode } from "react";
import { formatSeconds, type RequestDetail } from "../api/requests.ts";
import { listAttempts } from "./timeline-spans.ts";

/** Each attempt to execute a request, with who made it and what became of it; nothing before the first. */
export function AttemptsPanel({ request }: { readonly request: RequestDetail }): ReactNode {
  const attempts = listAttempts(request.timeline, request.state);
  if (attempts.length === 0) return null;
  return (
    <section className="panel" aria-label="Attempts">
      <h2>Attempts</h2>
      <ol className="attempts">
        {attempts.map(({ number, startedAt, seconds, runner, outcome, isFailure }) => (
          <li key={number}>
            <strong>{number}</strong>{" "}
            <time dateTime={startedAt} className="muted">
              {new Date(startedAt).toLocaleTimeString([], { hour12: false })}
            </time>{" "}
            <span className={isFailure ? "attempt-failed" : ""}>{outcome}</span>{" "}
            <span className="muted">
              {seconds === undefined ? "" : `after ${formatSeconds(seconds)} `}
              {runner === "" ? "" : `by runner ${runner.slice(0, 8)}`}
            </span>
          </li>
        ))}
      </ol>
    </section>
  );
}
