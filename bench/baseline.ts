/**
 * What the budgets are measured against: the least that keeps a request safe. Raw `node:sqlite` (and raw `node:http`
 * around it, in `servers/baseline-server.ts`), one table, one index, the same durability as the server (no answer before an fdatasync, one for all
 * that arrives meanwhile), written to win. It has no keys, no fairness, no retries, no history, no events.
 */
import { randomUUID } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";

export interface BaselineQueue extends AsyncDisposable {
  submit(input: Uint8Array): Promise<string>;
  lease(): Promise<{ readonly id: string; readonly input: Uint8Array } | undefined>;
  complete(id: string, result: Uint8Array): Promise<void>;
  /** As the disk has it: waits for an unsynced commit. */
  findState(id: string): Promise<string | undefined>;
  readResult(id: string): Promise<Uint8Array | undefined>;
}

export async function openBaselineQueue(path: string): Promise<BaselineQueue> {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-32768;
    CREATE TABLE requests (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL,
      input BLOB NOT NULL, result BLOB, created_at INTEGER NOT NULL, ended_at INTEGER) STRICT;
    CREATE INDEX queued ON requests (number) WHERE state = 'queued';`);
  const wal: FileHandle = await open(`${path}-wal`, "r+");
  const insert = database.prepare(
    "INSERT INTO requests (id, state, input, created_at) VALUES (?, 'queued', ?, ?)",
  );
  const take = database.prepare(
    `UPDATE requests SET state = 'running'
     WHERE number = (SELECT number FROM requests WHERE state = 'queued' ORDER BY number LIMIT 1)
     RETURNING id, input`,
  );
  const end = database.prepare(
    "UPDATE requests SET state = 'succeeded', result = ?, ended_at = ? WHERE id = ? AND state = 'running'",
  );
  const selectState = database.prepare("SELECT state FROM requests WHERE id = ?");
  const selectResult = database.prepare("SELECT result FROM requests WHERE id = ?");
  const begin = database.prepare("BEGIN");
  const commit = database.prepare("COMMIT");
  let waiting: (() => void)[] = [];
  let isScheduled = false;
  let syncing: Promise<void> | undefined;

  /** Runs with everything else of this turn, and of the time the disk takes, in one commit. */
  function write<T>(work: () => T): Promise<T> {
    return new Promise((resolve) => {
      let value: T;
      waiting.push(() => {
        value = work();
        settled.push(() => resolve(value));
      });
      schedule();
    });
  }
  let settled: (() => void)[] = [];

  function schedule(): void {
    if (isScheduled || syncing !== undefined) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      const jobs = waiting;
      waiting = [];
      settled = [];
      begin.run();
      for (const job of jobs) job();
      commit.run();
      const done = settled;
      syncing = wal.datasync().then(() => {
        syncing = undefined;
        for (const resolve of done) resolve();
        if (waiting.length > 0) schedule();
      });
    });
  }

  return {
    submit: (input) =>
      write(() => {
        const id = randomUUID();
        insert.run(id, input, Date.now());
        return id;
      }),
    lease: () => write(() => take.get() as { id: string; input: Uint8Array } | undefined),
    complete: (id, result) => write(() => void end.run(result, Date.now(), id)),
    async findState(id) {
      const row = selectState.get(id);
      await syncing;
      return row?.["state"] as string | undefined;
    },
    async readResult(id) {
      const row = selectResult.get(id);
      await syncing;
      return (row?.["result"] as Uint8Array | null | undefined) ?? undefined;
    },
    async [Symbol.asyncDispose]() {
      while (syncing !== undefined || isScheduled) await (syncing ?? new Promise(setImmediate));
      await wal.close();
      database.close();
    },
  };
}
