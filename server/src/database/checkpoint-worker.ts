import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import type { CheckpointAnswer, CheckpointCommand, CheckpointFailure } from "./checkpointer.ts";

/*
 * The thread that waits for the disk in place of the event loop: it moves pages from the write-ahead log into the
 * database file and starts the log over. With `synchronous=FULL` SQLite itself syncs the log before it copies, the
 * database file after, and the header of a log that starts over before anything follows it.
 *
 * Starting the log over must never happen on the event loop's connection (it would wait for that last sync). SQLite
 * does so with the first write after everything was copied while nobody reads the log. So a second connection
 * reads ("anchor") from before the copying until this thread starts the log over itself, with a write of its own,
 * while the event loop holds its writes back.
 */
const { path } = workerData as { readonly path: string };
const connection = new DatabaseSync(path, { timeout: 2_000 });
connection.exec("PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=67108864;");
const anchor = new DatabaseSync(path, { timeout: 2_000 });
anchor.exec("PRAGMA wal_autocheckpoint=0;");

parentPort?.on("message", (command: CheckpointCommand) => {
  void answer(command);
});

async function answer(command: CheckpointCommand): Promise<void> {
  try {
    let isWhole = false;
    switch (command.verb) {
      case "anchor":
        holdAnchor();
        break;
      case "copy":
        connection.prepare("PRAGMA wal_checkpoint(PASSIVE)").get();
        break;
      case "copyRest":
        isWhole = copyRest();
        break;
      case "startOver":
        startOver();
        break;
      case "backup":
        await backup(command.target);
        break;
      case "close":
        anchor.close();
        connection.close();
        break;
      default:
        command satisfies never;
    }
    reply({ error: null, isWhole });
  } catch (error) {
    // An error's own fields do not survive the passage between threads.
    const { message, errcode, code } = error as CheckpointFailure;
    reply({ error: { message, errcode, code }, isWhole: false });
  }
}

function reply(message: CheckpointAnswer): void {
  parentPort?.postMessage(message);
}

/** From now on the log cannot start over, and no page committed later is copied. */
function holdAnchor(): void {
  if (anchor.isTransaction) anchor.exec("COMMIT");
  anchor.exec("BEGIN");
  anchor.prepare("SELECT count(*) FROM sqlite_schema").get();
}

/** True when the whole log is copied and nobody reads it: the next write starts it over. */
function copyRest(): boolean {
  if (anchor.isTransaction) anchor.exec("COMMIT");
  return connection.prepare("PRAGMA wal_checkpoint(RESTART)").get()?.["busy"] === 0;
}

function startOver(): void {
  const version = Number(connection.prepare("PRAGMA user_version").get()?.["user_version"]);
  connection.exec(`PRAGMA user_version=${(version + 1) % 0x40000000}`);
}

/** A copy made beside its final name and synced, so that a backup is whole or absent. */
async function backup(target: string): Promise<void> {
  const partial = `${target}.partial`;
  await rm(partial, { force: true });
  try {
    connection.prepare("VACUUM INTO ?").run(partial);
    await syncPath(partial);
    await rename(partial, target);
    await syncPath(dirname(target));
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

async function syncPath(target: string): Promise<void> {
  const handle = await open(target, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
