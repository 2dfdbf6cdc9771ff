import { useEffect, useState } from "react";
import { call } from "./call.ts";
import { listenToEvents } from "./event-stream.ts";
import { useSession } from "./session.ts";

/** What an endpoint's model made on this server from its sample input, as `/v1/sluice/samples` tells it. */
export interface Sample {
  readonly endpoint_id: string;
  readonly state: "none" | "making" | "ready" | "failed";
  readonly request_id: string | null;
  readonly input: Readonly<Record<string, unknown>> | null;
  readonly output: unknown;
  readonly inference_time: number | null;
}

/** The samples of all endpoints, by endpoint. While somebody is signed in, missing ones are made one after the other. */
export function useSamples(): ReadonlyMap<string, Sample> {
  const session = useSession();
  const [samples, setSamples] = useState<ReadonlyMap<string, Sample>>(new Map());
  // biome-ignore lint/correctness/useExhaustiveDependencies: who signs in sees what is made then
  useEffect(() => {
    const stop = new AbortController();
    let awaited = new Set<string | null>();
    const look = async (): Promise<void> => {
      const answer = await call<{ readonly samples: readonly Sample[] }>("/v1/sluice/samples", {
        signal: stop.signal,
      });
      awaited = new Set(
        answer.samples.filter(({ state }) => state === "making").map(({ request_id }) => request_id),
      );
      setSamples(new Map(answer.samples.map((sample) => [sample.endpoint_id, sample])));
    };
    // Pages do without.
    const tryLook = (): void => void look().catch(() => {});
    tryLook();
    const unlisten = listenToEvents((event) => {
      const hasEnded =
        event.type === "request" &&
        !["queued", "running"].includes(event.state) &&
        awaited.has(event.request_id);
      if (event.type === "gap" || hasEnded) tryLook();
    });
    return () => {
      stop.abort();
      unlisten();
    };
  }, [session?.secret]);
  return samples;
}
