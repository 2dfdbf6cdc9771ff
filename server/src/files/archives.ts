import type { Readable } from "node:stream";
import { makeZip, predictLength } from "client-zip";
import type { Clock } from "../clock.ts";
import type { Database } from "../database/database.ts";
import type { AccountId } from "../ids.ts";
import { createUnguessableId, UNGUESSABLE_ID } from "./file-path.ts";
import type { FileStore, StoredFile } from "./file-store.ts";

/** Files that were chosen to be downloaded together, known by an id that cannot be guessed. */
export interface ArchiveStore {
  /** Keeps the choice for an hour, so that a plain link downloads it. */
  create(accountId: AccountId, paths: readonly string[]): Promise<Archive>;
  /** Undefined when there is none or its hour is over. */
  find(id: string): Promise<Archive | undefined>;
}

export interface Archive {
  readonly id: string;
  readonly accountId: AccountId;
  /** Paths of files, some of which may be gone by now. */
  readonly paths: readonly string[];
  readonly createdAt: number;
  readonly expiresAt: number;
}

const LIFE_MS = 3_600_000;

export function createArchiveStore(parts: {
  readonly database: Database;
  readonly clock: Clock;
}): ArchiveStore {
  const { database, clock } = parts;
  return {
    async create(accountId, paths) {
      const createdAt = clock.now();
      const archive = {
        id: createUnguessableId(),
        accountId,
        paths,
        createdAt,
        expiresAt: createdAt + LIFE_MS,
      };
      await database.transaction(async (tx) => {
        await tx.run("DELETE FROM file_archives WHERE expires_at <= $1", [createdAt]);
        await tx.run(
          "INSERT INTO file_archives (id, account_id, paths, created_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
          [archive.id, accountId, JSON.stringify(paths), createdAt, archive.expiresAt],
        );
      });
      return archive;
    },

    async find(id) {
      if (!UNGUESSABLE_ID.test(id)) return undefined;
      const row = await database.read((tx) =>
        tx.get<{ account_id: string; paths: string; created_at: number; expires_at: number }>(
          "SELECT account_id, paths, created_at, expires_at FROM file_archives WHERE id = $1",
          [id],
        ),
      );
      if (row === undefined || row.expires_at <= clock.now()) return undefined;
      return {
        id,
        accountId: row.account_id as AccountId,
        paths: JSON.parse(row.paths) as string[],
        createdAt: row.created_at,
        expiresAt: row.expires_at,
      };
    },
  };
}

/**
 * A ZIP of the files as a stream, one file after the other and never a whole one in memory. Contents are stored as
 * they are: pictures, video and sound are compressed already, and so the length is known before the first byte.
 * The stream breaks when a file goes away while it is read; a shortened archive would look like a whole one.
 */
export function zipFiles(
  store: Pick<FileStore, "open">,
  files: readonly StoredFile[],
): ReadableStream<Uint8Array> {
  const entries = createEntries(files);
  let input: Readable | undefined;
  const zip = makeZip(
    (async function* () {
      for (const [index, entry] of entries.entries()) {
        const file = files[index];
        input = file === undefined ? undefined : await store.open(file);
        if (input === undefined) throw new Error(`The bytes of ${file?.path} are gone.`);
        yield { ...entry, input: input as AsyncIterable<Uint8Array> };
      }
    })(),
  ).getReader();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value } = await zip.read();
        if (value === undefined) controller.close();
        else controller.enqueue(value);
      },
      // The library leaves the file that it reads open, and fails with the reason itself. It may wait for bytes that
      // do not come, or just be given another file.
      async cancel(reason) {
        input?.destroy();
        await zip.cancel(reason).catch(() => {});
        input?.destroy();
      },
    },
    { highWaterMark: 0 },
  );
}

/** Bytes of what {@link zipFiles} makes of the files. */
export function measureZip(files: readonly StoredFile[]): bigint {
  return predictLength(createEntries(files));
}

function createEntries(
  files: readonly StoredFile[],
): readonly { readonly name: string; readonly size: number; readonly lastModified: Date }[] {
  const names = createNames(files);
  return files.map((file, index) => ({
    name: names[index] ?? file.fileName,
    size: file.size,
    lastModified: new Date(file.createdAt),
  }));
}

/** Plain names, without folders, each once: outputs are often all called the same. */
function createNames(files: readonly StoredFile[]): readonly string[] {
  const taken = new Set<string>();
  return files.map(({ fileName, path }) => {
    // What comes after the unguessable id in a path is the name without anything that could be a folder.
    const plain = path.slice(path.lastIndexOf("/") + 23) || fileName;
    const dot = plain.lastIndexOf(".") > 0 ? plain.lastIndexOf(".") : plain.length;
    let name = plain;
    for (let number = 2; taken.has(name.toLowerCase()); number++)
      name = `${plain.slice(0, dot)}-${number}${plain.slice(dot)}`;
    taken.add(name.toLowerCase());
    return name;
  });
}
