import { type ReactNode, useEffect, useRef, useState } from "react";
import { Link } from "wouter";
import { describeError } from "../api/call.ts";
import { createKey, type Key, listKeys, revokeKey, updateKey } from "../api/keys.ts";
import { formatAgo } from "../api/requests.ts";
import { useSession } from "../api/session.ts";
import { usePolled } from "../api/use-polled.ts";
import { CodeBlock } from "../code/code-block.tsx";
import { Alert } from "../shell/alert.tsx";
import { ConfirmButton } from "../shell/list-controls.tsx";
import { SignInNotice } from "../shell/sign-in.tsx";
import { describeLimits, formatLimitTexts, LimitFields, NO_LIMITS, parseLimits } from "./limit-fields.tsx";
import "../styles/keys.css";

/** The keys of this server: make one, change one, revoke one. */
export default function KeysPage(): ReactNode {
  const session = useSession();
  useEffect(() => {
    document.title = "Keys · Sluice";
  }, []);
  return (
    <div className="page">
      <h1>Keys</h1>
      {session?.scope === "ADMIN" ? (
        <Keys ownId={session.keyId} />
      ) : (
        <SignInNotice>Keys are an operator&apos;s: sign in with a key of scope ADMIN.</SignInNotice>
      )}
    </div>
  );
}

const LOOK_MS = 10_000;

function Keys({ ownId }: { readonly ownId: string }): ReactNode {
  const { loaded, problem, refresh } = usePolled(listKeys, LOOK_MS);
  const [refusal, setRefusal] = useState<string>();
  const [edited, setEdited] = useState<Key>();
  const revoke = (id: string): void => {
    setRefusal(undefined);
    revokeKey(id).then(refresh, (error: unknown) => setRefusal(describeError(error)));
  };
  return (
    <>
      <NewKey onMade={refresh} />
      <Alert text={refusal ?? problem} />
      {loaded.state !== "loaded" ? null : (
        <div className="table-box">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Scope</th>
                <th scope="col">Limits</th>
                <th scope="col">Last used</th>
                <th scope="col">Made</th>
                <th scope="col">Id</th>
                <th scope="col">
                  <span className="visually-hidden">Actions</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {loaded.value.map((key) => (
                <tr key={key.key_id}>
                  <td>
                    {key.alias}
                    {key.key_id === ownId ? <span className="muted"> (yours)</span> : null}
                  </td>
                  <td>{key.scope}</td>
                  <td>{describeLimits(key.limits)}</td>
                  <td title={key.last_used_at ?? ""}>
                    {key.last_used_at === null ? "never" : formatAgo(key.last_used_at)}
                  </td>
                  <td title={key.created_at}>{formatAgo(key.created_at)}</td>
                  <td>
                    <Link
                      className="mono"
                      href={`/app/requests?key_id=${key.key_id}`}
                      title={`${key.key_id}: show its requests`}
                    >
                      {key.key_id.slice(0, 13)}…
                    </Link>
                  </td>
                  <td className="table-end">
                    <span className="key-actions">
                      <button
                        type="button"
                        className="button button-small"
                        aria-label={`Edit ${key.alias}`}
                        onClick={() => setEdited(key)}
                      >
                        Edit
                      </button>
                      <ConfirmButton
                        isSmall
                        label={`Revoke ${key.alias}`}
                        confirm={key.key_id === ownId ? "Revoke and sign out" : "Revoke for good"}
                        onConfirm={() => revoke(key.key_id)}
                      >
                        Revoke
                      </ConfirmButton>
                    </span>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      <EditKey
        key={edited?.key_id}
        edited={edited}
        onClose={() => setEdited(undefined)}
        onChanged={() => {
          setEdited(undefined);
          refresh();
        }}
      />
    </>
  );
}

function NewKey({ onMade }: { onMade(): void }): ReactNode {
  const [alias, setAlias] = useState("");
  const [scope, setScope] = useState("API");
  const [texts, setTexts] = useState(NO_LIMITS);
  const [made, setMade] = useState<{ readonly alias: string; readonly key: string }>();
  const [problem, setProblem] = useState<string>();
  const limits = parseLimits(texts);
  const make = async (): Promise<void> => {
    if (limits === undefined) return;
    setProblem(undefined);
    try {
      setMade({ alias, key: await createKey({ alias, scope, limits }) });
      setAlias("");
      setTexts(NO_LIMITS);
      onMade();
    } catch (error) {
      setProblem(describeError(error));
    }
  };
  return (
    <section className="panel" aria-label="A new key">
      <form
        className="key-form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <div className="filters">
          <label>
            Name
            <input
              className="input"
              value={alias}
              maxLength={255}
              placeholder="what will use it"
              onChange={(event) => setAlias(event.target.value)}
            />
          </label>
          <label>
            Scope
            <select className="input" value={scope} onChange={(event) => setScope(event.target.value)}>
              <option value="API">API: calls models, sees its own requests</option>
              <option value="ADMIN">ADMIN: sees and changes everything</option>
            </select>
          </label>
        </div>
        <LimitFields texts={texts} onChange={setTexts} />
        <div className="form-actions">
          <button
            type="submit"
            className="button button-main"
            disabled={alias.trim() === "" || limits === undefined}
          >
            Make a key
          </button>
        </div>
      </form>
      {problem === undefined ? null : (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      {made === undefined ? null : (
        <div role="status" className="notice notice-good">
          <p>
            The key <strong>{made.alias}</strong>: copy it now, it is shown this once.{" "}
            <button type="button" className="button button-small" onClick={() => setMade(undefined)}>
              I have it
            </button>
          </p>
          <CodeBlock code={made.key} label="the new key" />
        </div>
      )}
    </section>
  );
}

function EditKey(props: { readonly edited: Key | undefined; onClose(): void; onChanged(): void }): ReactNode {
  const { edited, onClose, onChanged } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  const [alias, setAlias] = useState(edited?.alias ?? "");
  const [texts, setTexts] = useState(edited === undefined ? NO_LIMITS : formatLimitTexts(edited.limits));
  const [problem, setProblem] = useState<string>();
  const isOpen = edited !== undefined;
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
  }, [isOpen]);
  const limits = parseLimits(texts);
  if (edited === undefined) return null;
  const save = (): void => {
    if (limits === undefined) return;
    setProblem(undefined);
    updateKey(edited.key_id, { alias, limits }).then(onChanged, (error: unknown) =>
      setProblem(describeError(error)),
    );
  };
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby="edit-key-title" onClose={onClose}>
      <form
        className="key-form"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          save();
        }}
      >
        <h2 id="edit-key-title">Edit {edited.alias}</h2>
        <div className="row">
          <label htmlFor="edit-key-name" className="row-label">
            Name
          </label>
          <input
            id="edit-key-name"
            className="input"
            value={alias}
            maxLength={255}
            onChange={(event) => setAlias(event.target.value)}
          />
        </div>
        <LimitFields texts={texts} onChange={setTexts} />
        <p className="hint">
          A change acts at once; requests that wait keep the number running at once that they came with.
        </p>
        {problem === undefined ? null : (
          <p className="problem" role="alert">
            {problem}
          </p>
        )}
        <div className="form-actions">
          <button
            type="submit"
            className="button button-main"
            disabled={alias.trim() === "" || limits === undefined}
          >
            Save
          </button>
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
        </div>
      </form>
    </dialog>
  );
}
