import type { CSSProperties, ReactNode } from "react";
import { formatSeconds, type RequestDetail } from "../api/requests.ts";
import { createSpans, type Span } from "./timeline-spans.ts";

/** More steps than this are one bar: they would be thinner than the gaps between them. */
const MAX_PARTS = 60;

/** What happened when, drawn to scale: each bar is the time that it took to get there. */
export function Timeline({ request }: { readonly request: RequestDetail }): ReactNode {
  const spans = createSpans(request.timeline, request.ended_at === null ? Date.now() : undefined);
  const [first] = spans;
  if (first === undefined) return <p className="muted">Nothing happened yet.</p>;
  const end = Math.max(...spans.map((span) => span.end));
  const total = Math.max(end - first.start, 1);
  const place = (from: number, to: number): CSSProperties => ({
    left: `${((from - first.start) / total) * 100}%`,
    width: `${((to - from) / total) * 100}%`,
  });
  const hasMany = spans.some(({ attempt }) => attempt > 1);
  return (
    <ol className="timeline">
      {spans.map((span, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: what happened does not change places
        <li key={`${index} ${span.name}`}>
          {hasMany && span.attempt > 0 && span.attempt !== spans[index - 1]?.attempt ? (
            <span className="timeline-attempt muted">attempt {span.attempt}</span>
          ) : null}
          <span className="timeline-name">{span.name}</span>
          <span className="timeline-track" aria-hidden="true">
            <Bars span={span} place={place} />
          </span>
          <span className="timeline-time">
            {index === 0 ? new Date(span.end).toLocaleTimeString([], { hour12: false }) : formatSpan(span)}
          </span>
          {span.note === "" ? null : <span className="timeline-note muted">{span.note}</span>}
        </li>
      ))}
    </ol>
  );
}

function Bars(props: {
  readonly span: Span;
  readonly place: (from: number, to: number) => CSSProperties;
}): ReactNode {
  const { span, place } = props;
  const { parts = [], start, end, name } = span;
  const kind =
    end === start ? "point" : name === "queued" ? "waiting" : name === "abandoned" ? "bad" : "work";
  if (parts.length < 2 || parts.length > MAX_PARTS)
    return <span className={`timeline-bar timeline-${kind}`} style={place(start, end)} />;
  const sum = parts.reduce((total, ms) => total + ms, 0) || 1;
  let at = start;
  return parts.map((ms, index) => {
    const from = at;
    at += (ms / sum) * (end - start);
    // biome-ignore lint/suspicious/noArrayIndexKey: steps do not change places
    return <span key={index} className="timeline-bar timeline-step" style={place(from, at)} />;
  });
}

function formatSpan({ start, end }: Span): string {
  const ms = end - start;
  return ms < 1000 ? `${Math.round(ms)} ms` : formatSeconds(ms / 1000);
}
