import { mkdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type Clock, systemClock } from "./clock.ts";
import { type Database, DatabaseError } from "./database/database.ts";
import { acquireFolderLock } from "./database/folder-lock.ts";
import { migrateDatabase } from "./database/migrate-database.ts";
import { openSqliteDatabase } from "./database/sqlite-database.ts";
import type { BlobStore } from "./files/blob-store.ts";
import { createFileStore } from "./files/create-file-store.ts";
import type { FileStore } from "./files/file-store.ts";
import { openBlobStore } from "./files/open-blob-store.ts";
import type { KeyId } from "./ids.ts";
import { createKeyStore } from "./keys/create-key-store.ts";
import type { KeyLimits, KeyStore } from "./keys/key-store.ts";
import type { Logger } from "./logger.ts";
import { createRequestQueue } from "./queue/create-request-queue.ts";
import type { RequestQueue } from "./queue/request-queue.ts";
import type { Settings } from "./settings.ts";

/** Everything that outlives the process: rows, bytes, and what gives them meaning. */
export interface Store extends AsyncDisposable {
  readonly dataDir: string;
  readonly database: Database;
  readonly blobs: BlobStore;
  readonly keys: KeyStore;
  readonly files: FileStore;
  readonly queue: RequestQueue;
}

/**
 * Opens the store that the settings name and brings it up to date. One process holds a data folder at a time.
 * @throws DatabaseError when the folder is held, damaged, read-only, full, or written by a newer version
 * @throws StorageUrlError when the storage is a URL that cannot be used
 */
export async function openStore(options: {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly clock?: Clock;
}): Promise<Store> {
  const { settings, logger, clock = systemClock } = options;
  const dataDir = resolve(settings.dataDir);
  await makeFolder(dataDir);
  const path = join(dataDir, "sluice.db");
  const database =
    settings.databaseUrl === null
      ? await openSqliteDatabase({ path, clock, logger })
      : await openSharedDatabase(settings.databaseUrl, path, logger);
  try {
    await migrateDatabase(database);
    const blobs = await openBlobStore({ storageUrl: settings.storageUrl, dir: join(dataDir, "blobs") });
    const keys = createKeyStore({ database, clock });
    const getKeyLimits = async (keyId: KeyId): Promise<KeyLimits | undefined> =>
      (await keys.find(keyId))?.limits;
    const retentionMs = settings.resultRetentionMs;
    return {
      dataDir,
      database,
      blobs,
      keys,
      files: createFileStore({ database, blobs, clock, logger }),
      queue: createRequestQueue({ database, blobs, clock, logger, getKeyLimits, retentionMs }),
      async [Symbol.asyncDispose]() {
        await keys[Symbol.asyncDispose]();
        await blobs[Symbol.asyncDispose]?.();
        await database[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

/** Rows live on a PostgreSQL server; the folder with the bytes still belongs to one process. */
async function openSharedDatabase(url: string, path: string, logger: Logger): Promise<Database> {
  const lock = acquireFolderLock(path);
  try {
    const { openPostgresDatabase } = await import("./database/postgres-database.ts");
    const database = await openPostgresDatabase({ url, logger });
    return {
      dialect: database.dialect,
      transaction: (work) => database.transaction(work),
      read: (work) => database.read(work),
      backup: (target) => database.backup(target),
      async [Symbol.asyncDispose]() {
        await database[Symbol.asyncDispose]();
        lock[Symbol.dispose]();
      },
    };
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

async function makeFolder(dataDir: string): Promise<void> {
  try {
    await makeFolders(dataDir);
  } catch (cause) {
    const reason =
      (cause as NodeJS.ErrnoException).code === "EEXIST"
        ? `${dataDir} is a file`
        : `the folder ${dataDir} cannot be made (${(cause as Error).message})`;
    throw new DatabaseError(
      "read_only",
      `No data can be kept: ${reason}. Choose another folder with --data.`,
      {
        cause,
      },
    );
  }
}

/** Node's own recursive `mkdir` never ends where a file system takes no folders, as under `/proc`. */
async function makeFolders(path: string): Promise<void> {
  if (await isFolder(path)) return;
  const parent = dirname(path);
  if (!(await isFolder(parent))) await makeFolders(parent);
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    // Another start may have been faster.
    if (!(await isFolder(path))) throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
