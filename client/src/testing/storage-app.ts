import { createHash } from "node:crypto";
import { type Handler, type SeenCall, sendJson } from "./test-server.ts";

export interface StoredFile {
  readonly name: string;
  readonly type: string;
  readonly lifecycle: string | undefined;
  parts: Map<number, Buffer>;
  content: Buffer | undefined;
}

/** Uploads of the protocol in a few lines, in one piece and in parts. */
export interface StorageApp {
  readonly files: StoredFile[];
  readonly handler: Handler;
  hasMultipart: boolean;
  /** Largest number of parts that were on their way at once. */
  peak: number;
  /** Called before a part or a whole file is taken; a status other than 200 refuses it. */
  intercept: (call: SeenCall, number: number) => number | Promise<number>;
}

export function createStorageApp(): StorageApp {
  let inFlight = 0;
  const app: StorageApp = {
    files: [],
    hasMultipart: true,
    peak: 0,
    intercept: () => 200,
    async handler(call, response) {
      const initiate = /^\/rest\/storage\/upload\/(initiate|initiate-multipart)$/.exec(call.path);
      if (initiate !== null) {
        if (initiate[1] === "initiate-multipart" && !app.hasMultipart) {
          return sendJson(response, 400, "Invalid request");
        }
        const { file_name: name, content_type: type } = JSON.parse(call.body.toString());
        const lifecycle = call.headers["x-fal-object-lifecycle"]?.toString();
        app.files.push({ name, type, lifecycle, parts: new Map(), content: undefined });
        const base = `http://${call.headers.host}`;
        const index = app.files.length - 1;
        const urls = { upload_url: `${base}/up/${index}?sig=s`, file_url: `${base}/files/${index}/${name}` };
        return sendJson(response, 200, urls);
      }
      const [, , index, step] = call.path.split("/");
      const file = app.files[Number(index)];
      if (file === undefined || call.query.get("sig") !== "s")
        return sendJson(response, 404, { detail: "Not Found" });
      if (step === "complete") {
        const { parts } = JSON.parse(call.body.toString()) as {
          parts: { partNumber: number; etag: string }[];
        };
        const isWhole = parts.every(({ partNumber, etag }) => etag === getEtag(file.parts.get(partNumber)));
        if (!isWhole) return sendJson(response, 400, { detail: "A part is missing" });
        file.content = Buffer.concat(parts.map(({ partNumber }) => file.parts.get(partNumber)!));
        return sendJson(response, 200, {});
      }
      inFlight++;
      app.peak = Math.max(app.peak, inFlight);
      const status = await app.intercept(call, Number(step ?? 0));
      inFlight--;
      if (status !== 200) return sendJson(response, status, { detail: "no" });
      if (step === undefined) {
        file.content = call.body;
        response.writeHead(200).end();
        return;
      }
      file.parts.set(Number(step), call.body);
      const etag = getEtag(call.body);
      sendJson(response, 200, { partNumber: Number(step), etag }, { etag });
    },
  };
  return app;
}

function getEtag(bytes: Buffer | undefined): string {
  return `"${createHash("md5")
    .update(bytes ?? "")
    .digest("hex")}"`;
}
