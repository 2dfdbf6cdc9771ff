import { type ReactNode, useEffect, useState } from "react";
import { Link, useLocation } from "wouter";
import { useStreamState } from "../api/event-stream.ts";
import { signOut, useSession } from "../api/session.ts";
import { askToSignIn } from "./sign-in.tsx";
import { applyTheme, readTheme, type Theme } from "./theme.ts";

export function Header(): ReactNode {
  const session = useSession();
  const [path] = useLocation();
  const links = [
    { href: "/", name: "Models", isHere: path === "/" || path.startsWith("/models/") },
    { href: "/app/requests", name: "Requests", isHere: path.startsWith("/app/requests") },
    { href: "/app/files", name: "Files", isHere: path.startsWith("/app/files") },
    { href: "/app/usage", name: "Usage", isHere: path.startsWith("/app/usage") },
    { href: "/app/webhooks", name: "Webhooks", isHere: path.startsWith("/app/webhooks") },
    ...(session?.scope === "ADMIN"
      ? [
          { href: "/app/queues", name: "Queues", isHere: path.startsWith("/app/queues") },
          { href: "/app/keys", name: "Keys", isHere: path.startsWith("/app/keys") },
        ]
      : []),
  ];
  // On a phone the links are wider than the page.
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page is marked
  useEffect(() => {
    const here = document.querySelector(".header .nav[aria-current]");
    here?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [path, session?.scope]);
  return (
    <header className="header">
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <Link href="/" className="brand">
        <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
          <rect className="brand-back" width="32" height="32" rx="8" />
          <path className="brand-wave" d="M7 12c3-3 6-3 9 0s6 3 9 0M7 20c3-3 6-3 9 0s6 3 9 0" />
        </svg>
        Sluice
      </Link>
      <nav aria-label="Main">
        {links.map(({ href, name, isHere }) => (
          <Link key={href} href={href} className="nav" aria-current={isHere ? "page" : undefined}>
            {name}
          </Link>
        ))}
      </nav>
      <div className="header-end">
        <Connection />
        <ThemeButton />
        {session === undefined ? (
          <button type="button" className="button" onClick={() => askToSignIn("")}>
            Sign in
          </button>
        ) : (
          <button
            type="button"
            className="button"
            onClick={() => void signOut()}
            title={`Signed in with a key of scope ${session.scope}`}
          >
            Sign out
          </button>
        )}
      </div>
    </header>
  );
}

/** Says that what is shown may be old; nothing while all is well. */
function Connection(): ReactNode {
  const state = useStreamState();
  return (
    <span className="connection" role="status">
      {state === "lost" ? "Reconnecting …" : ""}
    </span>
  );
}

const NEXT: Readonly<Record<Theme, Theme>> = { system: "light", light: "dark", dark: "system" };
const SIGNS: Readonly<Record<Theme, string>> = { system: "◐", light: "☀", dark: "☾" };

function ThemeButton(): ReactNode {
  const [theme, setTheme] = useState(readTheme);
  return (
    <button
      type="button"
      className="button button-quiet"
      aria-label={`Theme: ${theme}. Change to ${NEXT[theme]}`}
      title={`Theme: ${theme}`}
      onClick={() => {
        applyTheme(NEXT[theme]);
        setTheme(NEXT[theme]);
      }}
    >
      <span aria-hidden="true">{SIGNS[theme]}</span>
    </button>
  );
}
