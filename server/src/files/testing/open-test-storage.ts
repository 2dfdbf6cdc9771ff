import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../clock.ts";
import type { Database } from "../../database/database.ts";
import { migrateDatabase } from "../../database/migrate-database.ts";
import { openSqliteDatabase } from "../../database/sqlite-database.ts";
import type { AccountId } from "../../ids.ts";
import { silentLogger } from "../../logger.ts";
import type { BlobStore } from "../blob-store.ts";
import { createFileStore } from "../create-file-store.ts";
import { openDiskBlobStore } from "../disk-blob-store.ts";
import type { FileStore } from "../file-store.ts";
import { createUploadStore, type UploadStore } from "../upload-store.ts";

/** A real database and a real folder, with a clock that can be moved. */
export interface TestStorage extends AsyncDisposable {
  readonly dir: string;
  readonly clock: Clock & { advance(ms: number): void };
  readonly database: Database;
  readonly blobs: BlobStore;
  readonly files: FileStore;
  readonly uploads: UploadStore;
  /** Closes everything and opens it again from what is on disk. */
  reopen(): Promise<TestStorage>;
}

export interface TestStorageOptions {
  /** Default: SQLite in the folder. */
  readonly openDatabase?: (dir: string, clock: Clock) => Promise<Database>;
}

export async function openTestStorage(
  options: TestStorageOptions = {},
  kept?: { readonly dir: string; readonly clock: TestStorage["clock"] },
): Promise<TestStorage> {
  const dir = kept?.dir ?? (await mkdtemp(join(tmpdir(), "sluice-files-")));
  const clock = kept?.clock ?? createMovableClock();
  const { openDatabase = openSqlite } = options;
  const database = await openDatabase(dir, clock);
  await migrateDatabase(database);
  const blobs = await openDiskBlobStore({ dir: join(dir, "blobs") });
  const parts = { database, blobs, clock, logger: silentLogger };
  return {
    dir,
    clock,
    database,
    blobs,
    files: createFileStore(parts),
    uploads: createUploadStore(parts),
    async reopen() {
      await database[Symbol.asyncDispose]();
      return await openTestStorage(options, { dir, clock });
    },
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function openSqlite(dir: string, clock: Clock): Promise<Database> {
  return openSqliteDatabase({ path: join(dir, "sluice.db"), clock, logger: silentLogger });
}

export async function insertAccount(database: Database, nickname: string): Promise<AccountId> {
  const id = `acc-${nickname}` as AccountId;
  await database.transaction((tx) =>
    tx.run("INSERT INTO accounts (id, nickname, created_at) VALUES ($1, $2, $3)", [id, nickname, 0]),
  );
  return id;
}

export async function listBlobKeys(blobs: BlobStore): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of blobs.list("")) keys.push(key);
  return keys.sort();
}

function createMovableClock(): TestStorage["clock"] {
  let offset = 0;
  return {
    now: () => Date.now() + offset,
    monotonic: () => performance.now() + offset,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    advance(ms) {
      offset += ms;
    },
  };
}
