import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { Link, useLocation } from "wouter";
import { findInputSchema, type Model } from "../api/models.ts";
import { useSession } from "../api/session.ts";
import { CopyButton } from "../code/code-block.tsx";
import { CodeTabs } from "../code/code-tabs.tsx";
import { createInput, createValues, formatShare, groupProblems, parseShare } from "../form/form-values.ts";
import { SchemaForm } from "../form/schema-form.tsx";
import { listFields } from "../schema/schema.ts";
import { askToSignIn } from "../shell/sign-in.tsx";
import type { Media } from "./find-media.ts";
import { type ImageTarget, listImageTargets } from "./image-targets.ts";
import { RunView } from "./run-view.tsx";
import { useRun } from "./use-run.ts";

/** The form of an endpoint, its runs, and the call as code. */
export function Playground({
  model,
  models,
}: {
  readonly model: Model;
  readonly models: readonly Model[];
}): ReactNode {
  const { document: openapi, endpointId } = model;
  const schema = useMemo(() => findInputSchema(model), [model]);
  const fields = useMemo(() => listFields(schema, openapi), [schema, openapi]);
  const [values, setValues] = useState(() => parseShare(location.hash) ?? createValues(schema, openapi));
  const [, navigate] = useLocation();
  const session = useSession();
  const { run, isBusy, start, cancel } = useRun(endpointId);
  const input = createInput(fields, values);
  const problems = useMemo(() => groupProblems(run.problems, fields), [run.problems, fields]);
  const result = useRef<HTMLElement>(null);

  useEffect(() => {
    const restore = (): void => {
      const shared = parseShare(location.hash);
      if (shared !== undefined) setValues(shared);
    };
    window.addEventListener("hashchange", restore);
    return () => window.removeEventListener("hashchange", restore);
  }, []);

  // A refusal leads to the first field that it is about.
  useEffect(() => {
    const [first] = Object.keys(problems).filter((name) => name !== "");
    if (first !== undefined) document.getElementById(`field-${first}`)?.focus();
  }, [problems]);

  const submit = (): void => {
    if (isBusy) return;
    if (session === undefined) {
      askToSignIn("Sign in to run it.");
      return;
    }
    start(input);
    result.current?.scrollIntoView({ block: "nearest" });
  };

  const target = findImageTarget(model, models);
  const use = (media: Media): void => {
    if (target === undefined) return;
    const share = formatShare({ ...(target.model === model ? values : {}), [target.field]: media.url });
    if (target.model === model) setValues({ ...values, [target.field]: media.url });
    else navigate(`/models/${target.model.endpointId}${share ?? ""}`);
  };

  const share = formatShare(input);
  const general =
    problems[""] ?? (run.problems.length > 0 ? undefined : run.phase === "failed" ? run.message : undefined);
  const lastSeed = readSeed(run.output);
  return (
    <div className="playground">
      <form
        className="panel form"
        aria-label="Input"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          submit();
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) {
            event.preventDefault();
            submit();
          }
        }}
      >
        <SchemaForm
          fields={fields}
          document={openapi}
          values={values}
          problems={problems}
          lastSeed={lastSeed}
          onChange={setValues}
        />
        <div className="form-actions">
          {isBusy ? (
            <button type="button" className="button" onClick={cancel}>
              Cancel
            </button>
          ) : (
            <button type="submit" className="button button-main" title="Ctrl+Enter">
              Run
            </button>
          )}
          <button
            type="button"
            className="button"
            onClick={() => setValues(createValues(schema, openapi))}
            disabled={isBusy}
          >
            Reset
          </button>
          <Link className="button" href={`/app/compare/${endpointId}${share ?? ""}`}>
            Compare
          </Link>
          {share === undefined ? null : (
            <CopyButton
              text={`${location.origin}/models/${endpointId}${share}`}
              label="a link with this input"
              isLarge
            >
              Share
            </CopyButton>
          )}
        </div>
      </form>
      <div className="playground-side">
        <section ref={result} className="panel" aria-label="Result">
          <h2>Result</h2>
          <RunView run={run} generalProblem={general} onUse={use} />
        </section>
        <section className="panel" aria-label="Code">
          <div className="panel-head">
            <h2>This call as code</h2>
            <Link href={`/models/${endpointId}/api`}>Full API page</Link>
          </div>
          <CodeTabs call={{ origin: location.origin, endpointId, input }} />
        </section>
      </div>
    </div>
  );
}

function readSeed(output: unknown): number | undefined {
  const seed = (output as { readonly seed?: unknown } | undefined)?.seed;
  return typeof seed === "number" ? seed : undefined;
}

/** Where a picture goes: a file field of this endpoint, else the first other one that takes one. */
function findImageTarget(model: Model, models: readonly Model[]): ImageTarget | undefined {
  const targets = listImageTargets(models);
  return targets.find((target) => target.model === model) ?? targets[0];
}
