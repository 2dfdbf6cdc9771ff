import { type ReactNode, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Link } from "wouter";
import { findInputSchema, type Model } from "../api/models.ts";
import { useSession } from "../api/session.ts";
import { createInput, createValues, formatShare, parseShare, type Values } from "../form/form-values.ts";
import { findMedia, toLocal } from "../playground/find-media.ts";
import { ResultView } from "../playground/result-view.tsx";
import { useRun } from "../playground/use-run.ts";
import { listFields } from "../schema/schema.ts";
import { askToSignIn } from "../shell/sign-in.tsx";
import { listComparable, MAX_CELLS, parseValues, suggestValues } from "./compare-values.ts";

/** Others wait in the same queue. */
const AT_ONCE = 4;

interface Grid {
  /** A new number for each start, so that every cell runs anew. */
  readonly round: number;
  readonly name: string;
  readonly values: readonly unknown[];
}

/** The same input several times with one field changed, side by side. */
export default function ComparePage({ model }: { readonly model: Model }): ReactNode {
  const { document: openapi, endpointId } = model;
  const session = useSession();
  const schema = useMemo(() => findInputSchema(model), [model]);
  const fields = useMemo(() => listFields(schema, openapi), [schema, openapi]);
  const base = useMemo(() => parseShare(location.hash) ?? createValues(schema, openapi), [schema, openapi]);
  const comparable = listComparable(fields, openapi);
  const preferred = comparable.find(({ name }) => name === "seed") ?? comparable[0];
  const [name, setName] = useState(preferred?.name ?? "");
  const [text, setText] = useState(() =>
    preferred === undefined ? "" : suggestValues(preferred, openapi, base[preferred.name]),
  );
  const [grid, setGrid] = useState<Grid>();
  const [ended, setEnded] = useState(0);
  const countEnd = useCallback(() => setEnded((old) => old + 1), []);
  const field = comparable.find((each) => each.name === name);
  if (field === undefined) return <p className="empty">This endpoint has no field to compare.</p>;
  const values = parseValues(field, openapi, text);
  const isTooMany = values.length > MAX_CELLS;
  const input = createInput(fields, base);
  return (
    <div className="compare">
      <form
        className="panel filters"
        aria-label="What to compare"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          if (session === undefined) askToSignIn("Sign in to run it.");
          else {
            setEnded(0);
            setGrid({ round: (grid?.round ?? 0) + 1, name, values });
          }
        }}
      >
        <label>
          Field
          <select
            className="input"
            value={name}
            onChange={(event) => {
              const next = comparable.find((each) => each.name === event.target.value);
              if (next === undefined) return;
              setName(next.name);
              setText(suggestValues(next, openapi, base[next.name]));
            }}
          >
            {comparable.map((each) => (
              <option key={each.name} value={each.name}>
                {each.schema.title ?? each.name}
              </option>
            ))}
          </select>
        </label>
        <label>
          Values, one on a line
          <textarea
            className="input"
            rows={4}
            value={text}
            onChange={(event) => setText(event.target.value)}
            aria-describedby="compare-count"
            aria-invalid={isTooMany}
          />
        </label>
        <div>
          <p id="compare-count" className={isTooMany ? "problem" : "hint"}>
            {isTooMany
              ? `${values.length} values; at most ${MAX_CELLS} at a time.`
              : `${values.length} ${values.length === 1 ? "request" : "requests"}.`}
          </p>
          <button type="submit" className="button button-main" disabled={isTooMany || values.length === 0}>
            Run all
          </button>
        </div>
      </form>
      <p className="muted">
        Everything else stays as it is in{" "}
        <Link href={`/models/${endpointId}${formatShare(input) ?? ""}`}>the playground&apos;s form</Link>
        {describeBase(input, name)}.
      </p>
      {grid === undefined ? null : (
        <ul className="cells">
          {grid.values.map((value, index) => (
            <Cell
              // biome-ignore lint/suspicious/noArrayIndexKey: the same value may stand twice, and cells do not move
              key={`${grid.round} ${index}`}
              isTurn={index < ended + AT_ONCE}
              onEnd={countEnd}
              model={model}
              name={grid.name}
              value={value}
              input={input}
            />
          ))}
        </ul>
      )}
    </div>
  );
}

function Cell(props: {
  readonly model: Model;
  readonly name: string;
  readonly value: unknown;
  readonly input: Values;
  readonly isTurn: boolean;
  onEnd(): void;
}): ReactNode {
  const { model, name, value, input, isTurn, onEnd } = props;
  const { run, isBusy, start, cancel } = useRun(model.endpointId);
  const [own] = useState({ ...input, [name]: value });
  const hasStarted = useRef(false);
  useEffect(() => {
    if (hasStarted.current || !isTurn) return;
    hasStarted.current = true;
    start(own);
  }, [start, own, isTurn]);
  const isOver = run.phase === "done" || run.phase === "failed" || run.phase === "cancelled";
  useEffect(() => {
    if (isOver) onEnd();
  }, [isOver, onEnd]);
  const preview = Object.values(run.previews)[0]?.url;
  const hasMedia = findMedia(run.output).length > 0;
  return (
    <li className="panel cell" aria-label={`${name} ${String(value)}`}>
      <h2>
        <span className="muted">{name}</span> {String(value)}
      </h2>
      {run.phase === "done" ? (
        <ResultView output={run.output} />
      ) : (
        <>
          {preview === undefined ? null : <img src={toLocal(preview)} alt="Preview" />}
          <p role="status" className={run.phase === "failed" ? "problem" : "muted"}>
            {run.phase === "failed" || run.phase === "cancelled" ? run.message : describeCell(run)}
          </p>
        </>
      )}
      {isBusy ? (
        <button type="button" className="button button-small" onClick={cancel}>
          Cancel
        </button>
      ) : null}
      {run.phase === "done" && hasMedia && run.inferenceSeconds !== undefined ? (
        <p className="muted">{run.inferenceSeconds.toFixed(2)} s</p>
      ) : null}
    </li>
  );
}

function describeCell(run: ReturnType<typeof useRun>["run"]): string {
  if (run.phase === "idle") return "waits for its turn";
  if (run.phase === "queued")
    return run.position ? `in the queue: ${run.position} before it` : "in the queue: next";
  const { progress } = run;
  return progress === undefined ? `${run.phase} …` : `step ${progress.step} of ${progress.steps}`;
}

function describeBase(input: Values, name: string): string {
  const others = Object.entries(input).filter(([each]) => each !== name);
  const words = others.map(([each, value]) => `${each} ${JSON.stringify(value)}`).join(", ");
  return words === "" ? "" : `: ${words.length > 300 ? `${words.slice(0, 300)}…` : words}`;
}
