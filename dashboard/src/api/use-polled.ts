import { useCallback, useEffect, useState } from "react";
import { describeError } from "./call.ts";
import type { Loaded } from "./models.ts";

/**
 * What `load` gives, asked again after `intervalMs` while the page is visible. What was loaded stays when a later
 * look fails; `problem` then says why.
 */
export function usePolled<T>(
  load: (signal: AbortSignal) => Promise<T>,
  intervalMs: number | ((value: T) => number | undefined),
): { readonly loaded: Loaded<T>; readonly problem: string | undefined; refresh(): void } {
  const [loaded, setLoaded] = useState<Loaded<T>>({ state: "loading" });
  const [problem, setProblem] = useState<string>();
  const [round, setRound] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new round asks at once
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async (): Promise<void> => {
      let next: number | undefined = 3_000;
      try {
        const value = await load(stop.signal);
        if (stop.signal.aborted) return;
        setLoaded({ state: "loaded", value });
        setProblem(undefined);
        next = typeof intervalMs === "function" ? intervalMs(value) : intervalMs;
      } catch (error) {
        if (stop.signal.aborted) return;
        setProblem(describeError(error));
        setLoaded((old) =>
          old.state === "loaded" ? old : { state: "failed", message: describeError(error) },
        );
      }
      if (next === undefined) return;
      timer = setTimeout(() => {
        if (document.visibilityState === "visible") void look();
        else
          document.addEventListener("visibilitychange", () => void look(), {
            once: true,
            signal: stop.signal,
          });
      }, next);
    };
    void look();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [load, intervalMs, round]);
  const refresh = useCallback(() => setRound((old) => old + 1), []);
  return { loaded, problem, refresh };
}
