import { useCallback, useState } from "react";
import { useSearchParams } from "wouter";

/** The filter of a list, kept in the address so that it can be linked to, and the cursors that lead to the page shown. */
export interface Filter<Name extends string> {
  /** What is set; a name that is absent filters nothing. */
  readonly values: Readonly<Partial<Record<Name, string>>>;
  change(next: Readonly<Partial<Record<Name, string>>>): void;
  /** Of the page that is shown; undefined for the newest. */
  readonly cursor: string | undefined;
  readonly hasNewer: boolean;
  goOlder(cursor: string): void;
  goNewer(): void;
}

/** @param names must be the same list at every call */
export function useFilter<Name extends string>(names: readonly Name[]): Filter<Name> {
  const [parameters, setParameters] = useSearchParams();
  const [path] = useState(() => location.pathname);
  const [trail, setTrail] = useState<readonly string[]>([]);
  const values: Partial<Record<Name, string>> = {};
  for (const name of names) {
    const value = parameters.get(name);
    if (value !== null && value !== "") values[name] = value;
  }
  const change = useCallback(
    (next: Readonly<Partial<Record<Name, string>>>): void => {
      // While the next page loads, this one is still here: what was typed last must not lead back to it.
      if (location.pathname !== path) return;
      setTrail([]);
      setParameters(
        (old) => {
          const changed = new URLSearchParams(old);
          for (const [name, value] of Object.entries(next) as [string, string][]) {
            if (value === "") changed.delete(name);
            else changed.set(name, value);
          }
          return changed;
        },
        { replace: true },
      );
    },
    [setParameters, path],
  );
  return {
    values,
    change,
    cursor: trail.at(-1),
    hasNewer: trail.length > 0,
    goOlder: (cursor) => setTrail([...trail, cursor]),
    goNewer: () => setTrail(trail.slice(0, -1)),
  };
}
