import { useSyncExternalStore } from "react";

/** Who is signed in. The key itself is not kept: the other half of the session is an HttpOnly cookie. */
export interface Session {
  readonly secret: string;
  readonly scope: "API" | "ADMIN";
  readonly keyId: string;
  /** Epoch ms. */
  readonly expiresAt: number;
}

const NAME = "sluice.session";
const listeners = new Set<() => void>();
let current: Session | undefined = load();
window.addEventListener("storage", (event) => {
  if (event.key !== NAME) return;
  current = load();
  tell();
});

export function readSession(): Session | undefined {
  return current !== undefined && current.expiresAt > Date.now() ? current : undefined;
}

export function useSession(): Session | undefined {
  return useSyncExternalStore(onSessionChange, readSession);
}

/**
 * Trades a key for a session.
 * @throws Error with a sentence to show
 */
export async function signIn(key: string): Promise<void> {
  const response = await fetch("/v1/sluice/session", {
    method: "POST",
    headers: { authorization: `Key ${key.trim()}` },
  }).catch(() => undefined);
  if (response === undefined) throw new Error("The server does not answer. Is it running?");
  const body = (await response.json()) as {
    secret: string;
    scope: Session["scope"];
    key_id: string;
    expires_at: string;
    error?: { message: string };
  };
  if (!response.ok)
    throw new Error(
      response.status === 401
        ? "This server does not know that key. A key looks like id:secret; `sluice keys create` makes one."
        : (body.error?.message ?? `The server answered ${response.status}.`),
    );
  keep({
    secret: body.secret,
    scope: body.scope,
    keyId: body.key_id,
    expiresAt: Date.parse(body.expires_at),
  });
}

export async function signOut(): Promise<void> {
  endSession();
  await fetch("/v1/sluice/session", { method: "DELETE" }).catch(() => undefined);
}

/** Forgets a session that the server no longer takes. */
export function endSession(): void {
  keep(undefined);
}

function keep(session: Session | undefined): void {
  current = session;
  if (session === undefined) localStorage.removeItem(NAME);
  else localStorage.setItem(NAME, JSON.stringify(session));
  tell();
}

function load(): Session | undefined {
  try {
    return JSON.parse(localStorage.getItem(NAME) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

function tell(): void {
  for (const listener of listeners) listener();
}

/** Calls the listener whenever somebody signs in or out, here or in another tab. */
export function onSessionChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
