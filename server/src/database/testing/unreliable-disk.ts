import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Checkpointer, createCheckpointer } from "../checkpointer.ts";
import type { SqliteDatabaseOptions } from "../sqlite-database.ts";

/** Disks write sectors whole; between two syncs, in any order. */
const SECTOR_BYTES = 512;

/**
 * A disk whose power can be cut: it remembers what of a database's two files was synced, and makes an image of
 * what such a disk could hold now. Of the sectors written since the last sync, each may be there or not.
 *
 * The log counts as synced when `syncFile` has run. The database file is written by the checkpoint thread alone,
 * whose SQLite syncs it before each step ends (`synchronous=FULL`): there the end of a step is the sync.
 */
export interface UnreliableDisk {
  readonly options: Pick<SqliteDatabaseOptions, "syncFile" | "createCheckpointer">;
  /** Cuts the power: the image of the disk as a database file in `folder`. */
  cut(folder: string, survives: (sector: number) => boolean): Promise<string>;
}

export interface UnreliableDiskOptions {
  readonly path: string;
  /** False: `syncFile` does nothing. */
  readonly syncsLog?: boolean;
  /** False: what the checkpoint thread writes to the database file is never synced. */
  readonly syncsDatabase?: boolean;
  /** Called at the beginning and in the middle of every step of a checkpoint. */
  readonly onCheckpoint?: () => Promise<void>;
}

export async function createUnreliableDisk(options: UnreliableDiskOptions): Promise<UnreliableDisk> {
  const { path, syncsLog = true, syncsDatabase = true } = options;
  const read = (suffix: string): Promise<Buffer> => readFile(`${path}${suffix}`);
  const synced: Record<"database" | "log", Buffer> = { database: await read(""), log: Buffer.alloc(0) };
  const onCheckpoint = options.onCheckpoint ?? (() => Promise.resolve());

  return {
    options: {
      async syncFile(file) {
        const log = await read("-wal");
        if (!syncsLog) return;
        await file.datasync();
        synced.log = log;
      },
      createCheckpointer: (databasePath) => {
        const real = createCheckpointer(databasePath);
        async function step<T>(run: () => Promise<T>, after: () => Promise<void>): Promise<T> {
          await onCheckpoint();
          const [value] = await Promise.all([run(), onCheckpoint()]);
          await after();
          return value;
        }
        const keepDatabase = async (): Promise<void> => {
          if (syncsDatabase) synced.database = await read("");
        };
        return {
          anchor: () => real.anchor(),
          copy: () => step(real.copy, keepDatabase),
          copyRest: () => step(real.copyRest, keepDatabase),
          startOver: () =>
            step(real.startOver, async () => {
              synced.log = await read("-wal");
            }),
          backup: (target) => real.backup(target),
          close: () => real.close(),
        } satisfies Checkpointer;
      },
    },
    async cut(folder, survives) {
      await mkdir(folder, { recursive: true });
      const target = join(folder, "image.db");
      const [database, log] = [await read(""), await read("-wal")];
      await writeFile(target, mix(synced.database, database, survives));
      await writeFile(`${target}-wal`, mix(synced.log, log, survives));
      return target;
    },
  };
}

function mix(synced: Buffer, written: Buffer, survives: (sector: number) => boolean): Buffer {
  const image = Buffer.alloc(Math.max(synced.length, written.length));
  synced.copy(image);
  let length = synced.length;
  for (let start = 0, sector = 0; start < written.length; start += SECTOR_BYTES, sector++) {
    const end = Math.min(start + SECTOR_BYTES, written.length);
    const isSame = end <= synced.length && written.subarray(start, end).equals(synced.subarray(start, end));
    if (isSame || !survives(sector)) continue;
    written.copy(image, start, start, end);
    length = Math.max(length, end);
  }
  return image.subarray(0, length);
}
