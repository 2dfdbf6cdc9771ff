import { type ReactNode, useId } from "react";
import { formatBytes } from "../api/files.ts";
import type { Limits } from "../api/keys.ts";

/** What is typed; an empty text is no limit. */
export type LimitTexts = Readonly<Record<keyof Limits, string>>;

export const NO_LIMITS: LimitTexts = { concurrency: "", queued: "", requests_per_day: "", stored_bytes: "" };

const FIELDS: readonly {
  readonly name: keyof Limits;
  readonly label: string;
  readonly unit: string;
}[] = [
  { name: "concurrency", label: "Running at once", unit: "requests" },
  { name: "queued", label: "Waiting at once", unit: "requests" },
  { name: "requests_per_day", label: "A day", unit: "requests" },
  { name: "stored_bytes", label: "Files kept", unit: "MB" },
];

const BYTES_PER_MB = 1_000_000;

/** The limits of a key; those of another unit than the server's are shown in people's. */
export function LimitFields(props: {
  readonly texts: LimitTexts;
  onChange(texts: LimitTexts): void;
}): ReactNode {
  const { texts, onChange } = props;
  const id = useId();
  return (
    <fieldset className="limits">
      <legend>Limits</legend>
      {FIELDS.map(({ name, label, unit }) => {
        const isWrong = readLimit(name, texts[name]) === undefined;
        return (
          <div key={name}>
            <label htmlFor={`${id}-${name}`}>
              {label} <span className="muted">({unit})</span>
            </label>
            <input
              id={`${id}-${name}`}
              className="input"
              inputMode="numeric"
              autoComplete="off"
              placeholder="no limit"
              value={texts[name]}
              onChange={(event) => onChange({ ...texts, [name]: event.target.value })}
              aria-invalid={isWrong}
              aria-describedby={isWrong ? `${id}-${name}-problem` : undefined}
            />
            {isWrong ? (
              <p className="problem" id={`${id}-${name}-problem`}>
                A number above 0, or nothing for no limit.
              </p>
            ) : null}
          </div>
        );
      })}
    </fieldset>
  );
}

/** The limits as the server takes them; undefined while something that was typed is none. */
export function parseLimits(texts: LimitTexts): Limits | undefined {
  const limits: Partial<Record<keyof Limits, number | null>> = {};
  for (const { name } of FIELDS) {
    const limit = readLimit(name, texts[name]);
    if (limit === undefined) return undefined;
    limits[name] = limit;
  }
  return limits as Limits;
}

export function formatLimitTexts(limits: Limits): LimitTexts {
  const { stored_bytes: bytes, ...others } = limits;
  const text = (value: number | null): string => (value === null ? "" : String(value));
  return {
    concurrency: text(others.concurrency),
    queued: text(others.queued),
    requests_per_day: text(others.requests_per_day),
    stored_bytes: text(bytes === null ? null : bytes / BYTES_PER_MB),
  };
}

/** The limits in a few words; "none" without any. */
export function describeLimits(limits: Limits): string {
  const words = [
    limits.concurrency === null ? "" : `${limits.concurrency} at once`,
    limits.queued === null ? "" : `${limits.queued} waiting`,
    limits.requests_per_day === null ? "" : `${limits.requests_per_day.toLocaleString()} a day`,
    limits.stored_bytes === null ? "" : formatBytes(limits.stored_bytes),
  ].filter(Boolean);
  return words.length === 0 ? "none" : words.join(", ");
}

function readLimit(name: keyof Limits, text: string): number | null | undefined {
  const typed = text.trim();
  if (typed === "") return null;
  const value = Math.round(Number(typed) * (name === "stored_bytes" ? BYTES_PER_MB : 1));
  const isWhole = name === "stored_bytes" || Number.isInteger(Number(typed));
  return isWhole && Number.isSafeInteger(value) && value >= 1 ? value : undefined;
}
