import type { ReactNode } from "react";
import { formatSeconds, type RequestDetail, type TimelineEvent } from "../api/requests.ts";

interface Span {
  readonly key: string;
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** What happened when, drawn to scale: each bar is the time that it took to get there. */
export function Timeline({ request }: { readonly request: RequestDetail }): ReactNode {
  const events = request.timeline;
  const spans = createSpans(events, request.ended_at === null ? Date.now() : undefined);
  const [first] = spans;
  const last = spans.at(-1);
  if (first === undefined || last === undefined) return <p className="muted">Nothing happened yet.</p>;
  const total = Math.max(last.end - first.start, 1);
  const percent = (ms: number): string => `${(ms / total) * 100}%`;
  return (
    <ol className="timeline">
      {spans.map((span) => {
        const ms = span.end - span.start;
        return (
          <li key={span.key}>
            <span className="timeline-name">{span.name.replaceAll("_", " ")}</span>
            <span className="timeline-track" aria-hidden="true">
              <span
                className={`timeline-bar${ms === 0 ? " timeline-point" : ""}`}
                style={{ left: percent(span.start - first.start), width: percent(ms) }}
              />
            </span>
            <span className="timeline-time">
              {span === first ? new Date(span.end).toLocaleTimeString([], { hour12: false }) : formatMs(ms)}
            </span>
          </li>
        );
      })}
    </ol>
  );
}

/** Each event with the time since the one before; of a request that goes on, also the time until now. */
function createSpans(events: readonly TimelineEvent[], now: number | undefined): readonly Span[] {
  const spans = events.map((event, index): Span => {
    const end = Date.parse(event.at);
    const before = events[index - 1];
    const start = before === undefined ? end : Math.min(Date.parse(before.at), end);
    return { key: `${index} ${event.kind}`, name: event.kind, start, end };
  });
  const last = spans.at(-1);
  if (now === undefined || last === undefined) return spans;
  return [...spans, { key: "now", name: "now", start: last.end, end: Math.max(now, last.end) }];
}

function formatMs(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : formatSeconds(ms / 1000);
}
