import { randomBytes } from "node:crypto";

/**
 * Results are stored without the origin of this server, so that they stay valid when its port or name changes: a
 * link to a stored file is kept as a mark and becomes a URL when the result is read.
 *
 * The mark begins with `"\u002F`, which `JSON.stringify` never writes (it leaves `/` alone and doubles a
 * caller's backslash), so that no text of a caller can be taken for one.
 */
const MARK = '"\\u002Ffile\\u002F';

/** Stringifies `value`, in which every object made by `link(path)` stands for the URL of that file. */
export function stringifyWithFileLinks(build: (link: (path: string) => string) => unknown): string {
  const nonce = `sluice-file:${randomBytes(16).toString("hex")}:`;
  const text = JSON.stringify(build((path) => nonce + path));
  return text.replaceAll(`"${nonce}`, MARK);
}

/** Replaces the marks by `{cdnBase}/{path}`. `cdnBase` has no trailing slash, for example `http://127.0.0.1:7777/cdn`. */
export function resolveFileLinks(body: Uint8Array, cdnBase: string): Uint8Array {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (!bytes.includes(MARK)) return body;
  const prefix = JSON.stringify(`${cdnBase}/`).slice(0, -1);
  return Buffer.from(
    bytes.toString("utf8").replaceAll(MARK, () => prefix),
    "utf8",
  );
}
