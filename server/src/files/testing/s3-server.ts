import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** A small server that speaks the part of the S3 protocol that the blob store uses, over memory. */
export interface S3Server extends AsyncDisposable {
  /** `s3://…` for it. */
  readonly url: string;
  readonly objects: Map<string, StoredObject>;
  /** Multipart uploads that were neither completed nor aborted. */
  readonly unfinished: Map<string, Map<number, Buffer>>;
  /** Sizes of the parts that were copied inside the storage. */
  readonly copied: readonly number[];
  /** The next answers, instead of what would be answered; for failures. */
  readonly failures: number[];
}

interface StoredObject {
  readonly bytes: Buffer;
  readonly modifiedAt: Date;
}

const MIN_PART_BYTES = 5 * 1024 * 1024;
const PAGE = 3;

export async function startS3Server(): Promise<S3Server> {
  const objects = new Map<string, StoredObject>();
  const unfinished = new Map<string, Map<number, Buffer>>();
  const failures: number[] = [];
  const copied: number[] = [];

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", "http://localhost");
    const [, bucket, ...rest] = url.pathname.split("/").map(decodeURIComponent);
    const key = rest.join("/");
    const { searchParams: query } = url;
    const body = await buffer(request);
    const failure = failures.shift();
    if (failure !== undefined) return fail(response, failure, "Injected");
    if (!request.headers.authorization?.startsWith("AWS4-HMAC-SHA256 Credential="))
      return fail(response, 403, "AccessDenied");
    if (bucket !== "bucket") return fail(response, 404, "NoSuchBucket");
    const uploadId = query.get("uploadId");
    const parts = uploadId === null ? undefined : unfinished.get(uploadId);
    if (uploadId !== null && parts === undefined) return fail(response, 404, "NoSuchUpload");

    switch (request.method) {
      case "GET":
        if (query.get("list-type") === "2") return list(response, query);
        return send(request, response, objects.get(key));
      case "HEAD":
        return send(request, response, objects.get(key));
      case "PUT":
        if (request.headers["x-amz-copy-source"] !== undefined)
          return copyPart(request, response, parts, Number(query.get("partNumber")));
        if (parts === undefined) objects.set(key, { bytes: body, modifiedAt: new Date() });
        else parts.set(Number(query.get("partNumber")), body);
        response.setHeader("etag", hash(body)).end();
        return;
      case "DELETE":
        if (uploadId === null) objects.delete(key);
        else unfinished.delete(uploadId);
        response.writeHead(204).end();
        return;
      case "POST": {
        if (parts === undefined || uploadId === null) {
          const id = randomUUID();
          unfinished.set(id, new Map());
          return xml(
            response,
            `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
          );
        }
        const chosen = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map(([, n]) =>
          Number(n),
        );
        const chunks = chosen.map((n) => parts.get(n));
        if (chunks.some((chunk) => chunk === undefined)) return fail(response, 400, "InvalidPart");
        if (chunks.slice(0, -1).some((chunk) => (chunk?.length ?? 0) < MIN_PART_BYTES))
          return fail(response, 400, "EntityTooSmall");
        objects.set(key, { bytes: Buffer.concat(chunks as Buffer[]), modifiedAt: new Date() });
        unfinished.delete(uploadId);
        return xml(response, "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>");
      }
      default:
        return fail(response, 405, "MethodNotAllowed");
    }
  };

  const copyPart = (
    request: IncomingMessage,
    response: ServerResponse,
    parts: Map<number, Buffer> | undefined,
    partNumber: number,
  ): void => {
    const [, ...name] = decodeURIComponent(String(request.headers["x-amz-copy-source"])).split("/");
    const source = objects.get(name.join("/"));
    if (source === undefined) {
      fail(response, 404, "NoSuchKey");
      return;
    }
    const [, start = "0", end] =
      /^bytes=(\d+)-(\d+)$/.exec(String(request.headers["x-amz-copy-source-range"])) ?? [];
    const bytes = source.bytes.subarray(Number(start), end === undefined ? undefined : Number(end) + 1);
    copied.push(bytes.length);
    parts?.set(partNumber, bytes);
    xml(response, `<CopyPartResult><ETag>${hash(bytes)}</ETag></CopyPartResult>`);
  };

  const list = (response: ServerResponse, query: URLSearchParams): void => {
    const after = query.get("continuation-token") ?? "";
    const keys = [...objects.keys()]
      .filter((key) => key.startsWith(query.get("prefix") ?? "") && key > after)
      .sort();
    const page = keys.slice(0, PAGE);
    const contents = page.map((key) => {
      const { bytes, modifiedAt } = objects.get(key) as StoredObject;
      return `<Contents><Key>${key}</Key><Size>${bytes.length}</Size><LastModified>${modifiedAt.toISOString()}</LastModified></Contents>`;
    });
    const more =
      keys.length > page.length
        ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${page.at(-1)}</NextContinuationToken>`
        : "<IsTruncated>false</IsTruncated>";
    xml(response, `<ListBucketResult>${more}${contents.join("")}</ListBucketResult>`);
  };

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `s3://bucket/some/prefix?endpoint=${encodeURIComponent(endpoint)}`,
    objects,
    unfinished,
    copied,
    failures,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function send(request: IncomingMessage, response: ServerResponse, object: StoredObject | undefined): void {
  if (object === undefined) {
    fail(response, 404, "NoSuchKey");
    return;
  }
  const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const bytes = start === undefined ? object.bytes : object.bytes.subarray(Number(start), Number(end) + 1);
  response.writeHead(start === undefined ? 200 : 206, {
    "content-length": bytes.length,
    "last-modified": object.modifiedAt.toUTCString(),
    etag: hash(object.bytes),
  });
  response.end(request.method === "HEAD" ? undefined : bytes);
}

function fail(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "content-type": "application/xml" });
  response.end(
    `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
  );
}

function xml(response: ServerResponse, body: string): void {
  response.setHeader("content-type", "application/xml");
  response.end(`<?xml version="1.0" encoding="UTF-8"?>${body}`);
}

function hash(bytes: Buffer): string {
  return `"${createHash("md5").update(bytes).digest("hex")}"`;
}
