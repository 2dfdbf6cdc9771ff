import { type ReactNode, useEffect, useState } from "react";
import { Link } from "wouter";
import type { LogLine } from "../api/event-stream.ts";
import type { Media } from "./find-media.ts";
import { LogView } from "./log-view.tsx";
import { ResultView } from "./result-view.tsx";
import type { Run } from "./use-run.ts";

/** A run from its place in the queue to its result. */
export function RunView(props: {
  readonly run: Run;
  readonly generalProblem: string | undefined;
  onUse(media: Media): void;
}): ReactNode {
  const { run, generalProblem, onUse } = props;
  if (run.phase === "idle")
    return <p className="empty">The result appears here. Nothing runs until you say so.</p>;
  const isOver = run.phase === "done" || run.phase === "failed" || run.phase === "cancelled";
  return (
    <div className="run">
      <div className="run-head">
        <p className={`run-state run-${run.phase}`} role="status" aria-live="polite">
          {describePhase(run)}
        </p>
        <Elapsed run={run} />
        {run.request === undefined ? null : (
          <Link className="muted run-id" href={`/app/requests/${run.request.requestId}`}>
            Request details
          </Link>
        )}
      </div>
      {run.isLost && !isOver ? (
        <p className="notice" role="alert">
          The connection was lost; trying again. Your request goes on.
        </p>
      ) : null}
      {isOver ? null : <ProgressBar run={run} />}
      {run.phase === "failed" && generalProblem !== undefined ? (
        <p className="notice notice-bad" role="alert">
          {generalProblem}
        </p>
      ) : null}
      {isOver ? <Warnings logs={run.logs} /> : null}
      {run.phase === "done" ? <ResultView output={run.output} onUse={onUse} /> : <Previews run={run} />}
      {run.logs.length === 0 ? null : (
        <details className="json" open={!isOver}>
          <summary>Log ({run.logs.length})</summary>
          <LogView logs={run.logs} />
        </details>
      )}
    </div>
  );
}

function describePhase(run: Run): string {
  switch (run.phase) {
    case "idle":
      return "";
    case "sending":
      return "Sending";
    case "queued":
      return run.position === undefined || run.position === 0
        ? "In the queue: next"
        : `In the queue: ${run.position} before it`;
    case "running":
      return run.progress === undefined ? "Running" : `Running: ${run.progress.phase}`;
    case "done":
      return "Done";
    case "failed":
      return run.problems.length > 0 ? "Refused: see the marked fields" : "Failed";
    case "cancelled":
      return "Cancelled";
    default:
      return run.phase satisfies never;
  }
}

function ProgressBar({ run }: { readonly run: Run }): ReactNode {
  const { progress } = run;
  if (run.phase !== "running" || progress === undefined || progress.steps === 0)
    return <div className="bar bar-waiting" aria-hidden="true" />;
  return (
    <div className="steps">
      <progress max={progress.steps} value={progress.step} aria-label="Steps" />
      <span className="muted">
        step {progress.step} of {progress.steps}
      </span>
    </div>
  );
}

/**
 * What the model warned of, at most three different lines; the log has all. It often says why a picture is not what was
 * asked for.
 */
function Warnings({ logs }: { readonly logs: readonly LogLine[] }): ReactNode {
  const warned = logs.filter(({ level }) => level.startsWith("WARN")).map(({ message }) => message);
  return [...new Set(warned)].slice(0, 3).map((message) => (
    <p key={message} className="notice">
      {message}
    </p>
  ));
}

function Previews({ run }: { readonly run: Run }): ReactNode {
  const previews = Object.values(run.previews);
  if (previews.length === 0) return null;
  return (
    <ul className={`results${previews.length === 1 ? " results-one" : ""}`}>
      {previews.map((preview) => (
        <li key={preview.image} className="result">
          <div className="picture">
            <img
              className="preview"
              src={preview.url}
              width={preview.width}
              height={preview.height}
              alt={`Preview ${preview.image + 1}`}
            />
          </div>
        </li>
      ))}
    </ul>
  );
}

function Elapsed({ run }: { readonly run: Run }): ReactNode {
  const [now, setNow] = useState(Date.now());
  const isOver = run.endedAt !== undefined;
  useEffect(() => {
    if (isOver) return;
    const timer = setInterval(() => setNow(Date.now()), 100);
    return () => clearInterval(timer);
  }, [isOver]);
  const seconds = Math.max((run.endedAt ?? now) - run.startedAt, 0) / 1000;
  const inference =
    run.inferenceSeconds === undefined ? "" : ` (model: ${run.inferenceSeconds.toFixed(2)} s)`;
  return (
    <span className="muted run-time">
      {seconds.toFixed(1)} s{isOver ? inference : ""}
    </span>
  );
}
