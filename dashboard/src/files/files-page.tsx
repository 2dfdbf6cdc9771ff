import { type ReactNode, useCallback, useEffect, useState } from "react";
import { describeError } from "../api/call.ts";
import type { ServerEvent } from "../api/event-stream.ts";
import {
  createArchive,
  deleteFiles,
  type FileQuery,
  type FileRow,
  formatBytes,
  formatExpiry,
  listFiles,
  setFileExpiry,
} from "../api/files.ts";
import { useModels } from "../api/models.ts";
import { formatAgo } from "../api/requests.ts";
import { useSession } from "../api/session.ts";
import { usePolled } from "../api/use-polled.ts";
import { toLocal } from "../playground/find-media.ts";
import { Alert } from "../shell/alert.tsx";
import { ConfirmButton, FilterChoice, FilterText, Pager } from "../shell/list-controls.tsx";
import { SignInNotice } from "../shell/sign-in.tsx";
import { useFilter } from "../shell/use-filter.ts";
import { ExpiryChoice } from "./expiry-choice.tsx";
import { FileView } from "./file-view.tsx";
import "../styles/files.css";

/** Everything that callers uploaded and models made. */
export default function FilesPage(): ReactNode {
  const session = useSession();
  useEffect(() => {
    document.title = "Files · Sluice";
  }, []);
  return (
    <div className="page">
      <h1>Files</h1>
      {session === undefined ? <SignInNotice>Sign in to see your files.</SignInNotice> : <FileGallery />}
    </div>
  );
}

const LOOK_MS = 15_000;
/** Requests that end make files. */
const concernsFiles = (event: ServerEvent): boolean => event.type === "request";
const FILTERS = ["q", "kind", "media", "endpoint_id", "request_id", "age", "expiry"] as const;
const DAY_MS = 86_400_000;

function FileGallery(): ReactNode {
  const models = useModels();
  const list = models.state === "loaded" ? models.value : [];
  const filter = useFilter(FILTERS);
  const { values, change, cursor } = filter;
  const key = JSON.stringify([values, cursor]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key is the values and the cursor
  const load = useCallback(
    (signal: AbortSignal) =>
      listFiles({ ...createQuery(values), ...(cursor === undefined ? {} : { cursor }) }, signal),
    [key],
  );
  const { loaded, problem, refresh } = usePolled(load, LOOK_MS, concernsFiles);
  const [chosen, setChosen] = useState<ReadonlyMap<string, FileRow>>(new Map());
  const [shown, setShown] = useState<string>();
  const [refusal, setRefusal] = useState<string>();
  const files = loaded.state === "loaded" ? loaded.value.files : [];
  const act = async (work: () => Promise<unknown>): Promise<void> => {
    setRefusal(undefined);
    try {
      await work();
      refresh();
    } catch (error) {
      setRefusal(describeError(error));
    }
  };
  const forget = (urls: readonly string[]): void =>
    setChosen((old) => new Map([...old].filter(([url]) => !urls.includes(url))));
  const remove = (urls: readonly string[]): Promise<void> =>
    act(async () => {
      await deleteFiles(urls);
      forget(urls);
      setShown(undefined);
    });
  const set =
    (name: (typeof FILTERS)[number]) =>
    (value: string): void =>
      change({ [name]: value });
  const setText = useCallback((value: string) => change({ q: value }), [change]);
  return (
    <>
      <search className="filters" aria-label="Filters">
        <FilterText label="Name" value={values.q} onChange={setText} />
        <FilterChoice label="Kind" value={values.kind} choices={KINDS} onChange={set("kind")} />
        <FilterChoice label="Type" value={values.media} choices={MEDIA} onChange={set("media")} />
        <FilterChoice
          label="Endpoint"
          value={values.endpoint_id}
          choices={[["", "all"], ...list.map(({ endpointId }) => [endpointId, endpointId] as const)]}
          onChange={set("endpoint_id")}
        />
        <FilterChoice label="Age" value={values.age} choices={AGES} onChange={set("age")} />
        <FilterChoice label="Expiry" value={values.expiry} choices={EXPIRIES} onChange={set("expiry")} />
        {values.request_id === undefined ? null : (
          <button type="button" className="button" onClick={() => change({ request_id: "" })}>
            Of request {values.request_id.slice(0, 8)}… ✕
          </button>
        )}
      </search>
      <Alert text={refusal ?? problem} />
      {files.length === 0 ? null : (
        <Selection
          files={files}
          chosen={chosen}
          onChange={setChosen}
          onDelete={(urls) => void remove(urls)}
          onExpiry={(urls, seconds) => void act(() => setFileExpiry(urls, seconds))}
          onDownload={(urls) =>
            void act(async () => {
              const link = document.createElement("a");
              link.href = await createArchive(urls);
              link.download = "";
              link.click();
            })
          }
        />
      )}
      {loaded.state === "loading" ? <p className="empty">Loading …</p> : null}
      {loaded.state === "loaded" && files.length === 0 ? (
        <p className="empty">
          {Object.keys(values).length === 0
            ? "No files yet. What models make and callers upload appears here."
            : "No file is like that."}
        </p>
      ) : null}
      <ul className="tiles">
        {files.map((file) => (
          <Tile
            key={file.url}
            file={file}
            isChosen={chosen.has(file.url)}
            onOpen={() => setShown(file.url)}
            onChoose={(isChosen) =>
              setChosen((old) => {
                const next = new Map(old);
                if (isChosen) next.set(file.url, file);
                else next.delete(file.url);
                return next;
              })
            }
          />
        ))}
      </ul>
      {loaded.state === "loaded" ? <Pager filter={filter} next={loaded.value.next_cursor} /> : null}
      <FileView
        file={files.find(({ url }) => url === shown)}
        models={list}
        onClose={() => setShown(undefined)}
        onDelete={(file) => void remove([file.url])}
        onExpiry={(file, seconds) => void act(() => setFileExpiry([file.url], seconds))}
      />
    </>
  );
}

const KINDS = [
  ["", "all"],
  ["output", "outputs"],
  ["upload", "uploads"],
] as const;
const MEDIA = [
  ["", "all"],
  ["image", "pictures"],
  ["video", "video"],
  ["audio", "sound"],
  ["other", "other"],
] as const;
const AGES = [
  ["", "any"],
  ["1", "last day"],
  ["7", "last 7 days"],
  ["30", "last 30 days"],
  ["-7", "older than 7 days"],
  ["-30", "older than 30 days"],
] as const;
const EXPIRIES = [
  ["", "any"],
  ["never", "kept for ever"],
  ["1", "within a day"],
  ["7", "within 7 days"],
  ["set", "some day"],
] as const;

function createQuery(values: Readonly<Partial<Record<(typeof FILTERS)[number], string>>>): FileQuery {
  const { age, expiry, ...plain } = values;
  const days = Number(age ?? 0);
  const now = Date.now();
  const at = (ms: number): string => new Date(ms).toISOString();
  return {
    ...plain,
    ...(days > 0 ? { start: at(now - days * DAY_MS) } : {}),
    ...(days < 0 ? { end: at(now + days * DAY_MS) } : {}),
    ...(expiry === "never" ? { expires: "false" } : {}),
    ...(expiry === "set" ? { expires: "true" } : {}),
    ...(Number(expiry) > 0 ? { expires_before: at(now + Number(expiry) * DAY_MS) } : {}),
  };
}

/** What can be done with the files that are chosen. */
function Selection(props: {
  readonly files: readonly FileRow[];
  readonly chosen: ReadonlyMap<string, FileRow>;
  onChange(chosen: ReadonlyMap<string, FileRow>): void;
  onDelete(urls: readonly string[]): void;
  onExpiry(urls: readonly string[], seconds: number | null): void;
  onDownload(urls: readonly string[]): void;
}): ReactNode {
  const { files, chosen, onChange, onDelete, onExpiry, onDownload } = props;
  const urls = [...chosen.keys()];
  const bytes = [...chosen.values()].reduce((sum, file) => sum + file.file_size, 0);
  const isAll = files.every(({ url }) => chosen.has(url));
  const count = urls.length === 1 ? "1 file" : `${urls.length} files`;
  return (
    <section className="selection" aria-label="Chosen files">
      <label>
        <input
          type="checkbox"
          checked={isAll}
          onChange={() => {
            const next = new Map(chosen);
            for (const file of files) {
              if (isAll) next.delete(file.url);
              else next.set(file.url, file);
            }
            onChange(next);
          }}
        />{" "}
        All on this page
      </label>
      <span className="muted" role="status">
        {urls.length === 0 ? "none chosen" : `${count}, ${formatBytes(bytes)}`}
      </span>
      {urls.length === 0 ? null : (
        <div className="selection-actions">
          <button type="button" className="button button-small" onClick={() => onDownload(urls)}>
            Download as ZIP
          </button>
          <ExpiryChoice label="Expiry of the chosen files" onChoose={(seconds) => onExpiry(urls, seconds)} />
          <ConfirmButton
            isSmall
            label="Delete the chosen files"
            confirm={`Delete ${count} for good`}
            onConfirm={() => onDelete(urls)}
          >
            Delete
          </ConfirmButton>
          <button type="button" className="button button-small" onClick={() => onChange(new Map())}>
            Choose none
          </button>
        </div>
      )}
    </section>
  );
}

function Tile(props: {
  readonly file: FileRow;
  readonly isChosen: boolean;
  onOpen(): void;
  onChoose(isChosen: boolean): void;
}): ReactNode {
  const { file, isChosen, onOpen, onChoose } = props;
  const { content_type: type, file_name: name } = file;
  const isPicture = type.startsWith("image/") && !type.startsWith("image/svg");
  return (
    <li className={`tile${isChosen ? " tile-chosen" : ""}`}>
      <button type="button" className="tile-open" onClick={onOpen} aria-label={`Show ${name}`}>
        {isPicture ? (
          <img src={toLocal(file.signed_url ?? file.url)} alt="" loading="lazy" decoding="async" />
        ) : (
          <span className="tile-type">{type.split("/")[1]?.split(";")[0] ?? type}</span>
        )}
      </button>
      <input
        type="checkbox"
        className="tile-choice"
        checked={isChosen}
        onChange={(event) => onChoose(event.target.checked)}
        aria-label={`Choose ${name}`}
      />
      <div className="tile-text">
        <span className="tile-name" title={name}>
          {name}
        </span>
        <span className="muted">
          {file.kind} · {formatBytes(file.file_size)}
        </span>
        <span className="muted">{formatAgo(file.created_at)}</span>
        <span className="muted">{formatExpiry(file.expires_at)}</span>
      </div>
    </li>
  );
}
