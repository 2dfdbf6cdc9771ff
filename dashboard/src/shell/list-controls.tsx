import { type ReactNode, useEffect, useState } from "react";
import type { Filter } from "./use-filter.ts";

/** A filter with few values. */
export function FilterChoice(props: {
  readonly label: string;
  readonly value: string | undefined;
  /** Value and words; the empty value filters nothing. */
  readonly choices: readonly (readonly [value: string, words: string])[];
  onChange(value: string): void;
}): ReactNode {
  const { label, value = "", choices, onChange } = props;
  const isListed = choices.some(([each]) => each === value);
  return (
    <label>
      {label}
      <select className="input" value={value} onChange={(event) => onChange(event.target.value)}>
        {isListed ? null : <option value={value}>{value}</option>}
        {choices.map(([each, words]) => (
          <option key={each} value={each}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}

const TYPING_MS = 300;

/** A filter that is typed; it filters once the typing pauses. */
export function FilterText(props: {
  readonly label: string;
  readonly value: string | undefined;
  readonly placeholder?: string;
  onChange(value: string): void;
}): ReactNode {
  const { label, value = "", placeholder, onChange } = props;
  const [typed, setTyped] = useState(value);
  const [known, setKnown] = useState(value);
  // The address changed from elsewhere: its value is shown.
  if (known !== value) {
    setKnown(value);
    setTyped(value);
  }
  useEffect(() => {
    if (typed.trim() === value) return;
    const timer = setTimeout(() => onChange(typed.trim()), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, value, onChange]);
  return (
    <label className="filter-text">
      {label}
      <input
        className="input"
        type="search"
        value={typed}
        maxLength={200}
        placeholder={placeholder}
        onChange={(event) => setTyped(event.target.value)}
      />
    </label>
  );
}

/** The way to older and newer pages. */
export function Pager(props: {
  readonly filter: Pick<Filter<string>, "hasNewer" | "goNewer" | "goOlder">;
  readonly next: string | null;
}): ReactNode {
  const { filter, next } = props;
  if (!filter.hasNewer && next === null) return null;
  return (
    <nav className="pager" aria-label="Pages">
      <button type="button" className="button" disabled={!filter.hasNewer} onClick={filter.goNewer}>
        Newer
      </button>
      <button
        type="button"
        className="button"
        disabled={next === null}
        onClick={() => next !== null && filter.goOlder(next)}
      >
        Older
      </button>
    </nav>
  );
}

/** Asks once more before something that cannot be taken back; the question stands where the button was. */
export function ConfirmButton(props: {
  readonly children: ReactNode;
  /** Names the thing, for those who cannot see where the button stands. */
  readonly label?: string;
  readonly confirm: string;
  readonly isSmall?: boolean;
  onConfirm(): void;
}): ReactNode {
  const { children, label, confirm, isSmall = false, onConfirm } = props;
  const [isAsking, setAsking] = useState(false);
  const size = isSmall ? " button-small" : "";
  if (!isAsking)
    return (
      <button type="button" className={`button${size}`} aria-label={label} onClick={() => setAsking(true)}>
        {children}
      </button>
    );
  return (
    <span className="confirm">
      <button
        type="button"
        className={`button button-bad${size}`}
        // biome-ignore lint/a11y/noAutofocus: the question took the place of the button that had the focus
        autoFocus
        onClick={() => {
          setAsking(false);
          onConfirm();
        }}
      >
        {confirm}
      </button>
      <button type="button" className={`button${size}`} onClick={() => setAsking(false)}>
        Keep
      </button>
    </span>
  );
}
