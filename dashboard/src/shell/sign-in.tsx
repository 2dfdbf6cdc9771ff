import { type ReactNode, useEffect, useRef, useState } from "react";
import { describeError } from "../api/call.ts";
import { signIn } from "../api/session.ts";

const EVENT = "sluice:sign-in";

/** Opens the dialog that asks for a key, with the reason. */
export function askToSignIn(reason: string): void {
  window.dispatchEvent(new CustomEvent(EVENT, { detail: reason }));
}

/** Asks for a key and trades it for a session; the key is not kept. */
export function SignInDialog(): ReactNode {
  const dialog = useRef<HTMLDialogElement>(null);
  const [reason, setReason] = useState("");
  const [key, setKey] = useState("");
  const [problem, setProblem] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  useEffect(() => {
    const open = (event: Event): void => {
      setReason(String((event as CustomEvent).detail));
      setProblem(undefined);
      if (dialog.current?.open === false) dialog.current.showModal();
    };
    window.addEventListener(EVENT, open);
    return () => window.removeEventListener(EVENT, open);
  }, []);
  const submit = async (): Promise<void> => {
    setBusy(true);
    setProblem(undefined);
    try {
      await signIn(key);
      setKey("");
      dialog.current?.close();
    } catch (error) {
      setProblem(describeError(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} className="dialog" aria-labelledby="sign-in-title">
      <form
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <h2 id="sign-in-title">Sign in</h2>
        {reason === "" ? null : <p>{reason}</p>}
        <div className={`row${problem === undefined ? "" : " row-refused"}`}>
          <label htmlFor="sign-in-key" className="row-label">
            Key
          </label>
          <input
            id="sign-in-key"
            className="input"
            type="password"
            autoComplete="off"
            spellCheck={false}
            placeholder="id:secret"
            value={key}
            onChange={(event) => setKey(event.target.value)}
            aria-describedby="sign-in-hint sign-in-problem"
            aria-invalid={problem !== undefined}
          />
          <p className="problem" id="sign-in-problem" role="alert">
            {problem ?? ""}
          </p>
          <p className="hint" id="sign-in-hint">
            The server printed one at its first start and keeps it in the file <code>first-key</code> of its
            data folder; <code>sluice keys create</code> makes another. This page trades it for a session of
            twelve hours and does not keep it.
          </p>
        </div>
        <div className="form-actions">
          <button type="submit" className="button button-main" disabled={isBusy || key.trim() === ""}>
            Sign in
          </button>
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            Not now
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** Stands in for what only a signed-in caller sees. */
export function SignInNotice({ children }: { readonly children: ReactNode }): ReactNode {
  return (
    <div className="panel empty">
      <p>{children}</p>
      <button type="button" className="button button-main" onClick={() => askToSignIn("")}>
        Sign in
      </button>
    </div>
  );
}
