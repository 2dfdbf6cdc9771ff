import type { ReactNode } from "react";

const DAY = 86_400;
const CHOICES: readonly (readonly [words: string, seconds: number | null])[] = [
  ["in an hour", 3600],
  ["in a day", DAY],
  ["in a week", 7 * DAY],
  ["in 30 days", 30 * DAY],
  ["in a year", 365 * DAY],
  ["never", null],
];

/** Chooses a new expiry, counted from now; acts at once. */
export function ExpiryChoice(props: {
  readonly label: string;
  onChoose(seconds: number | null): void;
}): ReactNode {
  const { label, onChoose } = props;
  return (
    <select
      className="input expiry"
      aria-label={label}
      value=""
      onChange={(event) => {
        const choice = CHOICES.find(([words]) => words === event.target.value);
        if (choice !== undefined) onChoose(choice[1]);
      }}
    >
      <option value="" disabled>
        Set expiry …
      </option>
      {CHOICES.map(([words]) => (
        <option key={words} value={words}>
          expire {words}
        </option>
      ))}
    </select>
  );
}
