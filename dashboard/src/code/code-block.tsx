import { type ReactNode, useState } from "react";

/** Text in a fixed pitch with a button that copies it. */
export function CodeBlock({ code, label }: { readonly code: string; readonly label: string }): ReactNode {
  return (
    <div className="code">
      {/* biome-ignore lint/a11y/useSemanticElements: a section cannot be preformatted */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
      <pre tabIndex={0} aria-label={label} role="region">
        <code>{code}</code>
      </pre>
      <CopyButton text={code} label={label} />
    </div>
  );
}

export function CopyButton(props: {
  readonly text: string;
  /** What is copied: follows the words of the button for those who cannot see where it stands. */
  readonly label: string;
  readonly children?: ReactNode;
  readonly isLarge?: boolean;
}): ReactNode {
  const [state, setState] = useState<"idle" | "copied" | "failed">("idle");
  const copy = (): void => {
    const done = (next: "copied" | "failed") => (): void => {
      setState(next);
      setTimeout(() => setState("idle"), 1_600);
    };
    // Absent on plain http away from this machine.
    if (navigator.clipboard === undefined) done("failed")();
    else navigator.clipboard.writeText(props.text).then(done("copied"), done("failed"));
  };
  return (
    <button
      type="button"
      className={props.isLarge === true ? "button" : "button button-small copy"}
      onClick={copy}
    >
      <span aria-live="polite">
        {state === "copied" ? "Copied" : state === "failed" ? "Press Ctrl+C" : (props.children ?? "Copy")}
      </span>
      <span className="visually-hidden">{props.label}</span>
    </button>
  );
}
