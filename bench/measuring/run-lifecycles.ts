import { HttpConnection } from "./http-connection.ts";
import type { MeasuredProcess } from "./start-process.ts";

/** Where a server has what a lifecycle needs. */
export interface LifecyclePaths {
  readonly submit: string;
  readonly status: (id: string) => string;
  readonly result: (id: string) => string;
}

export interface LifecycleLoad {
  readonly callers: number;
  /** Callers begin no lifecycle after this many milliseconds. */
  readonly forMs: number;
  readonly authorization?: string;
}

export interface LifecycleRate {
  readonly perSecond: number;
  /** Microseconds of the server's CPU per lifecycle, all its threads. */
  readonly cpuMicros: number;
  /** How often a status said that the request was not completed, per lifecycle. */
  readonly earlyPolls: number;
}

const BODY = '{"prompt":"a lighthouse at dusk"}';
const ID = /"request_id":"([^"]+)"/;

const FIRST_WAIT_MS = 100;
const MAX_WAIT_MS = 800;

/**
 * Callers that submit, ask for the status until the request is completed, and read the result, one lifecycle after
 * the other. Before it asks a caller waits, longer each time, as clients do; so a server that is quick is asked once,
 * and the rate is what it can do, not how often it was asked in vain.
 */
export async function runLifecycles(
  server: MeasuredProcess,
  paths: LifecyclePaths,
  load: LifecycleLoad,
): Promise<LifecycleRate> {
  const headers = load.authorization === undefined ? {} : { authorization: load.authorization };
  const connections = await Promise.all(
    Array.from({ length: load.callers }, () => HttpConnection.open(server.url, headers)),
  );
  let done = 0;
  let early = 0;
  const lifecycle = async (connection: HttpConnection): Promise<void> => {
    const submitted = await connection.send("POST", paths.submit, BODY);
    const id = ID.exec(submitted.body)?.[1];
    if (submitted.status !== 200 || id === undefined)
      throw new Error(`The submit was answered ${submitted.status}: ${submitted.body}`);
    for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(MAX_WAIT_MS, 2 * waitMs)) {
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      const { status, body } = await connection.send("GET", paths.status(id));
      if (status === 200) break;
      if (status !== 202) throw new Error(`The status was answered ${status}: ${body}`);
      early++;
    }
    const result = await connection.send("GET", paths.result(id));
    if (result.status !== 200 || !result.body.includes("lighthouse"))
      throw new Error(`The result was answered ${result.status}: ${result.body}`);
    done++;
  };
  const cpuBefore = server.readCpuMs();
  const startedAt = performance.now();
  try {
    await Promise.all(
      connections.map(async (connection) => {
        while (performance.now() - startedAt < load.forMs) await lifecycle(connection);
      }),
    );
  } finally {
    for (const connection of connections) connection.close();
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  return {
    perSecond: done / seconds,
    cpuMicros: ((server.readCpuMs() - cpuBefore) * 1_000) / done,
    earlyPolls: early / done,
  };
}
