import { type ReactNode, useCallback, useEffect, useState } from "react";
import { call, describeError } from "../api/call.ts";
import { formatAgo } from "../api/requests.ts";
import { useSession } from "../api/session.ts";
import { usePolled } from "../api/use-polled.ts";
import { CodeBlock } from "../code/code-block.tsx";
import { SignInNotice } from "../shell/sign-in.tsx";

interface Key {
  readonly key_id: string;
  readonly alias: string;
  readonly scope: "API" | "ADMIN";
  readonly created_at: string;
}

/** The keys of this server: make one, revoke one. */
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
  const load = useCallback(
    (signal: AbortSignal) => call<{ readonly keys: readonly Key[] }>("/v1/keys?limit=1000", { signal }),
    [],
  );
  const { loaded, problem, refresh } = usePolled(load, LOOK_MS);
  const [asked, setAsked] = useState<string>();
  const [refusal, setRefusal] = useState<string>();
  const revoke = (id: string): void => {
    setAsked(undefined);
    call(`/v1/keys/${encodeURIComponent(id)}`, { method: "DELETE" }).then(refresh, (error: unknown) =>
      setRefusal(describeError(error)),
    );
  };
  return (
    <>
      <NewKey onMade={refresh} />
      {(refusal ?? problem) === undefined ? null : (
        <p className="notice" role="alert">
          {refusal ?? problem}
        </p>
      )}
      {loaded.state !== "loaded" ? null : (
        <div className="table-box">
          <table className="table">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">Scope</th>
                <th scope="col">Id</th>
                <th scope="col">Made</th>
                <th scope="col">
                  <span className="visually-hidden">Revoke</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {loaded.value.keys.map((key) => (
                <tr key={key.key_id}>
                  <td>
                    {key.alias}
                    {key.key_id === ownId ? <span className="muted"> (yours)</span> : null}
                  </td>
                  <td>{key.scope}</td>
                  <td className="mono">{key.key_id}</td>
                  <td>{formatAgo(key.created_at)}</td>
                  <td className="table-end">
                    {asked === key.key_id ? (
                      <>
                        <button
                          type="button"
                          className="button button-bad button-small"
                          onClick={() => revoke(key.key_id)}
                        >
                          Revoke for good
                        </button>{" "}
                        <button
                          type="button"
                          className="button button-small"
                          onClick={() => setAsked(undefined)}
                        >
                          Keep
                        </button>
                      </>
                    ) : (
                      <button
                        type="button"
                        className="button button-small"
                        aria-label={`Revoke ${key.alias}`}
                        onClick={() => setAsked(key.key_id)}
                      >
                        Revoke
                      </button>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </>
  );
}

function NewKey({ onMade }: { onMade(): void }): ReactNode {
  const [alias, setAlias] = useState("");
  const [scope, setScope] = useState("API");
  const [made, setMade] = useState<string>();
  const [problem, setProblem] = useState<string>();
  const make = async (): Promise<void> => {
    setProblem(undefined);
    try {
      const answer = await call<{ readonly key: string }>("/v1/keys", { json: { alias, scope } });
      setMade(answer.key);
      setAlias("");
      onMade();
    } catch (error) {
      setProblem(describeError(error));
    }
  };
  return (
    <section className="panel" aria-label="A new key">
      <form
        className="filters"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <label>
          Name
          <input
            className="input"
            value={alias}
            maxLength={255}
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
        <button type="submit" className="button button-main" disabled={alias.trim() === ""}>
          Make a key
        </button>
      </form>
      {problem === undefined ? null : (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      {made === undefined ? null : (
        <div role="status">
          <p>
            Copy the key now: it is shown this once.{" "}
            <button type="button" className="button button-small" onClick={() => setMade(undefined)}>
              I have it
            </button>
          </p>
          <CodeBlock code={made} label="the new key" />
        </div>
      )}
    </section>
  );
}
