import {
  type CSSProperties,
  Fragment,
  type ReactNode,
  useCallback,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { Link } from "wouter";
import { findInputSchema, type Model } from "../api/models.ts";
import { useSession } from "../api/session.ts";
import { createInput, createValues, formatShare, parseShare, type Values } from "../form/form-values.ts";
import { findMedia, toLocal } from "../playground/find-media.ts";
import { ResultView } from "../playground/result-view.tsx";
import { useRun } from "../playground/use-run.ts";
import { type Field, listFields } from "../schema/schema.ts";
import { askToSignIn } from "../shell/sign-in.tsx";
import { listComparable, MAX_CELLS, parseValues, suggestValues } from "./compare-values.ts";

/** Others wait in the same queue. */
const AT_ONCE = 4;

/** What changes along one side of the grid. */
interface Axis {
  readonly name: string;
  /** Values as they are typed, one on a line. */
  readonly text: string;
}

interface Grid {
  /** A new number for each start, so that every cell runs anew. */
  readonly round: number;
  /** Cells in a row. */
  readonly columns: number;
  /** Row by row, what each cell changes in the input. */
  readonly cells: readonly Values[];
}

/** The same input several times with one field changed, or two against each other, side by side. */
export default function ComparePage({ model }: { readonly model: Model }): ReactNode {
  const { document: openapi, endpointId } = model;
  const session = useSession();
  const schema = useMemo(() => findInputSchema(model), [model]);
  const fields = useMemo(() => listFields(schema, openapi), [schema, openapi]);
  const base = useMemo(() => parseShare(location.hash) ?? createValues(schema, openapi), [schema, openapi]);
  const comparable = listComparable(fields, openapi);
  const createAxis = (field: Field): Axis => ({
    name: field.name,
    text: suggestValues(field, openapi, base[field.name]),
  });
  const [axes, setAxes] = useState<readonly Axis[]>(() =>
    [comparable.find(({ name }) => name === "seed") ?? comparable[0]]
      .filter((field) => field !== undefined)
      .map(createAxis),
  );
  const [grid, setGrid] = useState<Grid>();
  const [ended, setEnded] = useState(0);
  const countEnd = useCallback(() => setEnded((old) => old + 1), []);
  if (axes.length === 0) return <p className="empty">This endpoint has no field to compare.</p>;
  const [across = [], down = [{}]] = axes.map(({ name, text }) => {
    const field = comparable.find((each) => each.name === name);
    return field === undefined
      ? []
      : parseValues(field, openapi, text).map((value): Values => ({ [name]: value }));
  });
  const cells = down.flatMap((row) => across.map((column) => ({ ...column, ...row })));
  const isTooMany = cells.length > MAX_CELLS;
  const change = (index: number, axis: Axis | undefined): void =>
    setAxes([...axes.slice(0, index), ...(axis === undefined ? [] : [axis]), ...axes.slice(index + 1)]);
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
            setGrid({ round: (grid?.round ?? 0) + 1, columns: across.length, cells });
          }
        }}
      >
        {[0, 1].map((index) => {
          const axis = axes[index];
          const other = axes[1 - index];
          return (
            <Fragment key={index}>
              <label>
                {index === 0 ? "Field" : "Against"}
                <select
                  className="input"
                  value={axis?.name ?? ""}
                  onChange={(event) => {
                    const next = comparable.find(({ name }) => name === event.target.value);
                    change(index, next === undefined ? undefined : createAxis(next));
                  }}
                >
                  {index === 0 ? null : <option value="">nothing</option>}
                  {comparable
                    .filter(({ name }) => name !== other?.name)
                    .map((each) => (
                      <option key={each.name} value={each.name}>
                        {each.schema.title ?? each.name}
                      </option>
                    ))}
                </select>
              </label>
              {axis === undefined ? null : (
                <label>
                  {index === 0 ? "Values, one on a line" : "Values against them"}
                  <textarea
                    className="input"
                    rows={4}
                    value={axis.text}
                    onChange={(event) => change(index, { ...axis, text: event.target.value })}
                    aria-describedby="compare-count"
                    aria-invalid={isTooMany}
                  />
                </label>
              )}
            </Fragment>
          );
        })}
        <div>
          <p id="compare-count" className={isTooMany ? "problem" : "hint"}>
            {isTooMany
              ? `${cells.length} requests; at most ${MAX_CELLS} at a time.`
              : `${cells.length} ${cells.length === 1 ? "request" : "requests"}.`}
          </p>
          <button type="submit" className="button button-main" disabled={isTooMany || cells.length === 0}>
            Run all
          </button>
        </div>
      </form>
      <p className="muted">
        Everything else stays as it is in{" "}
        <Link href={`/models/${endpointId}${formatShare(input) ?? ""}`}>the playground&apos;s form</Link>
        {describeBase(input, axes)}.
      </p>
      {grid === undefined ? null : (
        <ul className="cells" {...describeColumns(grid)}>
          {grid.cells.map((changes, index) => (
            <Cell
              // biome-ignore lint/suspicious/noArrayIndexKey: the same value may stand twice, and cells do not move
              key={`${grid.round} ${index}`}
              isTurn={index < ended + AT_ONCE}
              onEnd={countEnd}
              model={model}
              changes={changes}
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
  readonly changes: Values;
  readonly input: Values;
  readonly isTurn: boolean;
  onEnd(): void;
}): ReactNode {
  const { model, changes, input, isTurn, onEnd } = props;
  const { run, isBusy, start, cancel } = useRun(model.endpointId);
  const [own] = useState({ ...input, ...changes });
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
    <li className="panel cell" aria-label={describeChanges(changes)}>
      <h2>
        {Object.entries(changes).map(([name, value]) => (
          <span key={name}>
            <span className="muted">{name}</span> {String(value)}{" "}
          </span>
        ))}
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

function describeChanges(changes: Values): string {
  return Object.entries(changes)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(", ");
}

/** Two fields make a table: a row of it stays one. */
function describeColumns({ columns, cells }: Grid): { readonly style?: CSSProperties } {
  if (columns === cells.length) return {};
  return { style: { gridTemplateColumns: `repeat(${columns}, minmax(11rem, 1fr))` } };
}

function describeBase(input: Values, axes: readonly Axis[]): string {
  const others = Object.entries(input).filter(([name]) => axes.every((axis) => axis.name !== name));
  const words = others.map(([each, value]) => `${each} ${JSON.stringify(value)}`).join(", ");
  return words === "" ? "" : `: ${words.length > 300 ? `${words.slice(0, 300)}…` : words}`;
}
