import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join, relative, sep } from "node:path";

/** A request that the stand-in saw. */
export interface SeenRequest {
  readonly server: "hub" | "cdn";
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  /** Bytes of the body that were sent. */
  sent: number;
}

/** What may go wrong with a file, or with everything (`*`). */
export interface Trouble {
  /** Answer this instead, so many times (default always). */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly times?: number;
  /** Break the connection after so many bytes of a body, so many times. */
  readonly breakAfter?: number;
  /** Say nothing more after so many bytes, so many times. */
  readonly stallAfter?: number;
  /** Another content (and ETag) from the second request on. */
  readonly changesTo?: Uint8Array;
  /** What is sent does not fit the hash that is told. */
  readonly corrupt?: boolean;
  /** No ETag. */
  readonly isAnonymous?: boolean;
  /** Wait after every piece of 64 KiB. */
  readonly delayMs?: number;
  /** What the list names instead of the files. */
  readonly siblings?: unknown;
  /** Changes an answer with a file's bytes before it is sent. */
  readonly forge?: (answer: FileAnswer, request: SeenRequest) => FileAnswer;
}

/** An answer with bytes of a file. Without `content-length` the body is sent in chunks. */
export interface FileAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** A hub of models on this machine: the list of a repository, files with ranges, large ones on another host. */
export interface HubServer extends AsyncDisposable {
  readonly url: string;
  readonly cdnUrl: string;
  readonly seen: readonly SeenRequest[];
  /** Adds files to a repository. Those of 1 KiB and more are kept like large ones: with SHA-256, on the other host. */
  put(id: string, files: Readonly<Record<string, Uint8Array | string>>, license?: string): void;
  putFolder(id: string, folder: string, license?: string): Promise<void>;
  setTrouble(path: string, trouble: Trouble | undefined): void;
  /** Only who brings it may read. */
  setToken(token: string | undefined): void;
  forget(): void;
}

interface Stored {
  readonly license: string | undefined;
  readonly files: Map<string, Buffer>;
}

const LARGE = 1024;
const PIECE = 64 * 1024;

/** @param options a certificate with its key, as PEM, makes it https */
export async function startHubServer({
  tls,
}: {
  readonly tls?: { readonly cert: string; readonly key: string };
} = {}): Promise<HubServer> {
  const create = (listener: RequestListener): Server =>
    tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  const repositories = new Map<string, Stored>();
  const troubles = new Map<string, { trouble: Trouble; used: number; requests: number }>();
  const seen: SeenRequest[] = [];
  let token: string | undefined;

  const hub = create((request, response) => void answer("hub", request, response));
  const cdn = create((request, response) => void answer("cdn", request, response));
  const [url, cdnUrl] = (await Promise.all([listen(hub), listen(cdn)])).map(
    (port) => `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}`,
  ) as [string, string];

  function findTrouble(path: string): { trouble: Trouble; used: number; requests: number } | undefined {
    const found = troubles.get(path) ?? troubles.get("*");
    if (found === undefined || found.used >= (found.trouble.times ?? Number.POSITIVE_INFINITY))
      return undefined;
    return found;
  }

  async function answer(
    server: SeenRequest["server"],
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { pathname } = new URL(request.url ?? "/", url);
    const { authorization, range, "if-range": ifRange } = request.headers;
    const path = decodeURIComponent(pathname);
    const record: SeenRequest = {
      server,
      path,
      authorization,
      range,
      ifRange: ifRange as string | undefined,
      sent: 0,
    };
    seen.push(record);
    if (server === "hub" && token !== undefined && authorization !== `Bearer ${token}`)
      return end(response, authorization === undefined ? 401 : 403, { "x-error-code": "GatedRepo" });
    const list = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^/]+)$/.exec(path);
    if (list !== null) return answerList(list[1] as string, response);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(path);
    const name = file?.[3] ?? "";
    const bytes = repositories.get(file?.[1] ?? "")?.files.get(name);
    if (bytes === undefined) return end(response, 404, { "x-error-code": "EntryNotFound" });
    if (server === "hub" && bytes.length >= LARGE)
      return end(response, 302, { location: `${cdnUrl}${pathname}`, "x-linked-size": String(bytes.length) });
    await answerFile(name, bytes, record, response);
  }

  function answerList(id: string, response: ServerResponse): void {
    const found = findTrouble("list");
    if (found?.trouble.status !== undefined) {
      found.used++;
      end(response, found.trouble.status, found.trouble.headers ?? {});
      return;
    }
    const repository = repositories.get(id);
    if (repository === undefined) {
      end(response, 404, { "x-error-code": "RepoNotFound" });
      return;
    }
    const files = [...repository.files].map(([rfilename, bytes]) => {
      const size = bytes.length;
      const blobId = createHash("sha1").update(`blob ${size}\0`).update(bytes).digest("hex");
      if (size < LARGE) return { rfilename, size, blobId };
      return {
        rfilename,
        size,
        blobId,
        lfs: { sha256: createHash("sha256").update(bytes).digest("hex"), size },
      };
    });
    const siblings = found?.trouble.siblings ?? files;
    const commit = createHash("sha1").update(JSON.stringify(siblings)).digest("hex");
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ id, sha: commit, cardData: { license: repository.license }, siblings }));
  }

  async function answerFile(
    name: string,
    original: Buffer,
    record: SeenRequest,
    response: ServerResponse,
  ): Promise<void> {
    const found = findTrouble(name);
    const { trouble = {} } = found ?? {};
    if (found !== undefined) {
      found.requests++;
      if (trouble.status !== undefined) {
        found.used++;
        return end(response, trouble.status, trouble.headers ?? {});
      }
    }
    let bytes = original;
    if (trouble.changesTo !== undefined && (found?.requests ?? 0) > 1) bytes = Buffer.from(trouble.changesTo);
    const etag = `"${createHash("md5").update(bytes).digest("hex")}"`;
    if (trouble.corrupt === true) {
      bytes = Buffer.from(bytes);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
      if (found !== undefined) found.used++;
    }
    const from = Number(/^bytes=(\d+)-$/.exec(record.range ?? "")?.[1] ?? 0);
    const isPart = record.range !== undefined && (record.ifRange === undefined || record.ifRange === etag);
    if (isPart && from >= bytes.length)
      return end(response, 416, { "content-range": `bytes */${bytes.length}` });
    const right = isPart ? bytes.subarray(from) : bytes;
    const told = {
      status: isPart ? 206 : 200,
      headers: {
        ...(trouble.isAnonymous === true ? {} : { etag }),
        "content-length": String(right.length),
        ...(isPart ? { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
      },
      body: right,
    };
    const { status, headers, body } = trouble.forge?.(told, record) ?? told;
    response.writeHead(status, headers);
    const limit = trouble.breakAfter ?? trouble.stallAfter;
    for (let at = 0; at < body.length; at += PIECE) {
      const piece = body.subarray(at, Math.min(at + PIECE, limit ?? body.length, body.length));
      if (response.destroyed) return;
      record.sent += piece.length;
      await new Promise((done) => response.write(piece, done));
      if (trouble.delayMs !== undefined) await new Promise((done) => setTimeout(done, trouble.delayMs));
      if (limit !== undefined && at + PIECE >= limit) {
        if (found !== undefined) found.used++;
        if (trouble.breakAfter !== undefined) setImmediate(() => response.destroy());
        return;
      }
    }
    response.end();
  }

  const put: HubServer["put"] = (id, files, license) => {
    const stored = repositories.get(id) ?? { license, files: new Map<string, Buffer>() };
    for (const [path, content] of Object.entries(files)) stored.files.set(path, Buffer.from(content));
    repositories.set(id, { ...stored, license: license ?? stored.license });
  };
  return {
    url,
    cdnUrl,
    seen,
    put,
    async putFolder(id, folder, license) {
      const files: Record<string, Buffer> = {};
      for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const path = join(entry.parentPath, entry.name);
        files[relative(folder, path).split(sep).join("/")] = await readFile(path);
      }
      put(id, files, license);
    },
    setTrouble(path, trouble) {
      if (trouble === undefined) troubles.delete(path);
      else troubles.set(path, { trouble, used: 0, requests: 0 });
    },
    setToken(wanted) {
      token = wanted;
    },
    forget() {
      seen.length = 0;
    },
    async [Symbol.asyncDispose]() {
      for (const server of [hub, cdn]) {
        server.closeAllConnections();
        await new Promise((done) => server.close(done));
      }
    },
  };
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return (server.address() as AddressInfo).port;
}

function end(response: ServerResponse, status: number, headers: Readonly<Record<string, string>>): void {
  response.writeHead(status, headers).end();
}
