import { useCallback, useEffect, useRef, useState } from "react";
import { describeError } from "./call.ts";
import { listenToEvents, type ServerEvent } from "./event-stream.ts";
import type { Loaded } from "./models.ts";

const TOGETHER_MS = 250;

/**
 * What `load` gives, asked again after `intervalMs` while the page is visible, and at once when the server tells of an
 * event that `concerns` it or that something was missed. What was loaded stays when a later look fails; `problem` then
 * says why.
 */
export function usePolled<T>(
  load: (signal: AbortSignal) => Promise<T>,
  intervalMs: number | ((value: T) => number | undefined),
  concerns?: (event: ServerEvent) => boolean,
): { readonly loaded: Loaded<T>; readonly problem: string | undefined; refresh(): void } {
  const [loaded, setLoaded] = useState<Loaded<T>>({ state: "loading" });
  const [problem, setProblem] = useState<string>();
  const [round, setRound] = useState(0);
  const isLooking = useRef(false);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new round asks at once
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async (): Promise<void> => {
      let next: number | undefined = 3_000;
      isLooking.current = true;
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
      isLooking.current = false;
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
  useEffect(() => {
    if (concerns === undefined) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    // Events come in bursts: one look for all of a moment.
    const look = (): void => {
      timer = isLooking.current ? setTimeout(look, TOGETHER_MS) : undefined;
      if (timer === undefined) refresh();
    };
    const unlisten = listenToEvents((event) => {
      if (event.type === "gap" || concerns(event)) timer ??= setTimeout(look, TOGETHER_MS);
    });
    return () => {
      unlisten();
      clearTimeout(timer);
    };
  }, [concerns, refresh]);
  return { loaded, problem, refresh };
}
