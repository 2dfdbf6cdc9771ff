import { type ReactNode, useState } from "react";
import { NumberInput } from "./number-field.tsx";
import type { WidgetProps } from "./schema-form.tsx";

const SEEDS = 2 ** 31;

/** A new seed each time, or a kept one: the lock keeps the seed of the last result, the dice throws another. */
export function SeedField({ id, value, onChange, describedBy, isInvalid, lastSeed }: WidgetProps): ReactNode {
  const [thrown, setThrown] = useState<number>();
  const isLocked = value !== undefined;
  const throwDice = (): void => {
    const seed = Math.floor(Math.random() * SEEDS);
    setThrown(seed);
    onChange(seed);
  };
  return (
    <div className="seed">
      <NumberInput
        id={id}
        value={value}
        onChange={onChange}
        describedBy={describedBy}
        isInvalid={isInvalid}
        placeholder={
          lastSeed === undefined ? "a new one each time" : `a new one each time (last: ${lastSeed})`
        }
      />
      <button
        type="button"
        className="button"
        onClick={throwDice}
        aria-label="Throw a seed"
        title="Throw a seed"
      >
        <span aria-hidden="true">⚄</span>
      </button>
      <button
        type="button"
        className="button"
        aria-pressed={isLocked}
        aria-label="Keep this seed"
        title={isLocked ? "Use a new seed each time" : "Keep the seed of the last result"}
        onClick={() =>
          onChange(isLocked ? undefined : (lastSeed ?? thrown ?? Math.floor(Math.random() * SEEDS)))
        }
      >
        <LockIcon isLocked={isLocked} />
      </button>
    </div>
  );
}

function LockIcon({ isLocked }: { readonly isLocked: boolean }): ReactNode {
  return (
    <svg
      viewBox="0 0 16 16"
      width="16"
      height="16"
      aria-hidden="true"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
    >
      <rect x="3" y="7" width="10" height="7" rx="1.5" />
      <path d={isLocked ? "M5.5 7V5a2.5 2.5 0 0 1 5 0v2" : "M5.5 7V5a2.5 2.5 0 0 1 4.8-1"} />
    </svg>
  );
}
