import { type ReactNode, useEffect, useState } from "react";
import { Link } from "wouter";
import { findInputSchema, type Model, useModels } from "../api/models.ts";
import { formatAgo, formatSeconds, listRequests, type RequestRow } from "../api/requests.ts";
import { type Sample, useSamples } from "../api/samples.ts";
import { useSession } from "../api/session.ts";
import { createInput, createValues, formatShare } from "../form/form-values.ts";
import { findMedia, toLocal } from "../playground/find-media.ts";
import { listImageTargets } from "../playground/image-targets.ts";
import { ModelFacts } from "../playground/model-head.tsx";
import { useRun } from "../playground/use-run.ts";
import { listFields } from "../schema/schema.ts";
import { InlineCode } from "../shell/inline-code.tsx";
import { askToSignIn } from "../shell/sign-in.tsx";

/** Every endpoint of this server, with what it really made here. */
export function Gallery(): ReactNode {
  const models = useModels();
  const samples = useSamples();
  const [words, setWords] = useState("");
  useEffect(() => {
    document.title = "Sluice";
  }, []);
  if (models.state === "loading") return <p className="empty">Loading …</p>;
  if (models.state === "failed")
    return (
      <p className="empty" role="alert">
        {models.message}
      </p>
    );
  const found = models.value.filter((model) => matches(model, words));
  return (
    <div className="page">
      <div className="gallery-head">
        <div>
          <h1>Models</h1>
          <p className="muted">
            {models.value.length} {models.value.length === 1 ? "endpoint" : "endpoints"} on this server.
          </p>
        </div>
        <input
          className="input search"
          type="search"
          placeholder="Search"
          aria-label="Search the models"
          value={words}
          onChange={(event) => setWords(event.target.value)}
        />
      </div>
      <p className="visually-hidden" role="status">
        {words === "" ? "" : `${found.length} found`}
      </p>
      {found.length === 0 ? (
        <p className="empty">
          {models.value.length === 0
            ? "This server offers no models. Start it with a model file: sluice serve ./my-model.ts"
            : `Nothing is called “${words}”.`}
        </p>
      ) : (
        <ul className="cards">
          {found.map((model) => (
            <Card key={model.endpointId} model={model} kept={samples.get(model.endpointId)} />
          ))}
        </ul>
      )}
    </div>
  );
}

function matches(model: Model, words: string): boolean {
  const { endpointId, title, description, category, tags, answeredBy } = model;
  const text = [endpointId, title, description, category, answeredBy?.name ?? "", ...tags]
    .join(" ")
    .toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function Card({ model, kept }: { readonly model: Model; readonly kept: Sample | undefined }): ReactNode {
  const session = useSession();
  const { run, isBusy, start } = useRun(model.endpointId);
  const [recent, setRecent] = useState<readonly RequestRow[]>([]);
  const phase = run.phase;
  useEffect(() => {
    if (session === undefined || (phase !== "idle" && phase !== "done")) return;
    const stop = new AbortController();
    listRequests(
      { endpoint_id: model.endpointId, state: "succeeded", limit: 5, expand: "payloads" },
      stop.signal,
    ).then(
      ({ requests }) => setRecent(requests),
      () => {}, // the card does without
    );
    return () => stop.abort();
  }, [session, model.endpointId, phase]);

  const sample = recent.find(({ json_output }) => findPicture(json_output) !== undefined);
  const preview = Object.values(run.previews)[0]?.url;
  const picture = isBusy
    ? preview
    : (findPicture(run.output) ?? findPicture(sample?.json_output) ?? findPicture(kept?.output));
  const times = recent.map(({ inference_time }) => inference_time).filter((time) => time !== null);
  const seconds = median(times) ?? kept?.inference_time ?? undefined;
  const input = sample === undefined ? (kept?.input ?? {}) : readInput(sample);
  // What judges a picture is shown with the picture that it was given and what it said.
  const given = picture === undefined && kept?.state === "ready" ? findGiven(kept.input, model) : undefined;
  const isMaking = kept?.state === "making" && !isBusy;
  const href = `/models/${model.endpointId}`;
  return (
    <li className="card">
      <div className="card-picture">
        {given !== undefined && !isBusy ? (
          <Link href={`${href}${formatShare(input) ?? ""}`}>
            <img src={toLocal(given)} alt={`Given to ${model.title}`} loading="lazy" />
            <span className="card-answer">
              {listAnswers(kept?.output).map(([name, value]) => (
                <span key={name}>
                  {name} <strong>{value}</strong>
                </span>
              ))}
            </span>
          </Link>
        ) : picture === undefined ? (
          <NoPicture
            text={
              isBusy
                ? describeBusy(run.phase, run.progress)
                : phase === "failed"
                  ? (run.message ?? "")
                  : isMaking
                    ? "A sample is being made …"
                    : undefined
            }
            model={model}
            isBusy={isBusy}
            onMake={(input) =>
              session === undefined ? askToSignIn("Sign in to make a sample.") : start(input)
            }
          />
        ) : (
          <Link href={`${href}${formatShare(input) ?? ""}`}>
            <img
              src={toLocal(picture)}
              alt={describeSample(input, model)}
              title={sample === undefined ? undefined : `Made here ${formatAgo(sample.created_at)}`}
              loading="lazy"
            />
          </Link>
        )}
      </div>
      <div className="card-text">
        <h2>
          <Link href={href}>{model.title}</Link>
        </h2>
        <code className="endpoint">{model.endpointId}</code>
        <p>
          <InlineCode text={model.description} />
        </p>
        <ModelFacts model={model} />
        {seconds === undefined ? null : (
          <p className="muted">
            {formatSeconds(seconds)} here
            {times.length > 1 ? ` (median of the last ${times.length})` : ""}
          </p>
        )}
      </div>
    </li>
  );
}

function NoPicture(props: {
  readonly text: string | undefined;
  readonly model: Model;
  readonly isBusy: boolean;
  onMake(input: Readonly<Record<string, unknown>>): void;
}): ReactNode {
  const { text, model, isBusy, onMake } = props;
  const schema = findInputSchema(model);
  // Endpoints that need a file have nothing to start from.
  const canMake = model.category.startsWith("text-to-");
  return (
    <div className="no-picture">
      {text === undefined ? null : <p role="status">{text}</p>}
      {isBusy || !canMake ? null : (
        <button
          type="button"
          className="button"
          aria-label={`Make a sample with ${model.endpointId}`}
          onClick={() =>
            onMake(createInput(listFields(schema, model.document), createValues(schema, model.document)))
          }
        >
          Make a sample
        </button>
      )}
      {!canMake && !isBusy ? <span className="muted">{model.category}</span> : null}
    </div>
  );
}

function describeBusy(
  phase: string,
  progress: { readonly step: number; readonly steps: number } | undefined,
): string {
  return progress === undefined ? `${phase} …` : `step ${progress.step} of ${progress.steps}`;
}

function findPicture(output: unknown): string | undefined {
  return findMedia(output).find(({ kind }) => kind === "image")?.url;
}

/** The picture of an input. */
function findGiven(input: Sample["input"], model: Model): string | undefined {
  const [target] = listImageTargets([model]);
  const url = target === undefined ? undefined : input?.[target.field];
  return typeof url === "string" && url !== "" ? url : undefined;
}

/** The first plain values of an output. */
function listAnswers(output: unknown): readonly (readonly [name: string, value: string])[] {
  if (typeof output !== "object" || output === null) return [];
  return Object.entries(output)
    .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value))
    .slice(0, 3)
    .map(([name, value]) => [name, typeof value === "number" ? formatNumber(value) : String(value)]);
}

function formatNumber(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function readInput(request: RequestRow): Readonly<Record<string, unknown>> {
  return typeof request.json_input === "object" && request.json_input !== null
    ? (request.json_input as Readonly<Record<string, unknown>>)
    : {};
}

function describeSample(input: Readonly<Record<string, unknown>>, model: Model): string {
  const { prompt } = input;
  return typeof prompt === "string" ? `Made here from: ${prompt}` : `Made here by ${model.title}`;
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
