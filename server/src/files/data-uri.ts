/** What a `data:` URI holds. */
export interface DataUri {
  readonly bytes: Uint8Array;
  /** As declared; `text/plain` when nothing is (RFC 2397). */
  readonly contentType: string;
}

/**
 * Decodes a `data:` URI (RFC 2397). Lenient where writers differ: white space in base64, the URL-safe alphabet, missing
 * padding, percent-encoded base64.
 *
 * @returns `too_large` before anything large is decoded, `malformed` for everything that is not one
 */
export function parseDataUri(text: string, maxBytes: number): DataUri | "too_large" | "malformed" {
  const comma = text.slice(0, MAX_HEADER).indexOf(",");
  if (comma === -1 || !/^data:/i.test(text)) return "malformed";
  const parameters = text.slice(5, comma).split(";");
  const isBase64 = parameters.length > 1 && parameters.at(-1)?.trim().toLowerCase() === "base64";
  const type = (isBase64 ? parameters.slice(0, -1) : parameters).join(";").trim();
  // Percent-encoding takes three characters for a byte at most, base64 four for three and white space beside.
  if (text.length - comma > 3 * maxBytes + 16) return "too_large";
  const data = text.slice(comma + 1);
  const bytes = isBase64 ? decodeBase64(data) : decodePercent(data);
  if (bytes === undefined) return "malformed";
  if (bytes.byteLength > maxBytes) return "too_large";
  return { bytes, contentType: type === "" || type.startsWith(";") ? "text/plain" : type };
}

const MAX_HEADER = 1_024;

function decodeBase64(data: string): Buffer | undefined {
  const plain = data.includes("%") ? decodePercent(data).toString("latin1") : data;
  const text = plain.replace(/[\t\n\f\r ]+/g, "");
  // A single character over is no whole byte; `=` may only stand at the end.
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(text)) return undefined;
  const length = text.replace(/=+$/, "").length;
  if (length % 4 === 1 || (text.length !== length && text.length % 4 !== 0)) return undefined;
  return Buffer.from(text, "base64");
}

/** A percent sign that begins no escape stands for itself. */
function decodePercent(data: string): Buffer {
  const bytes = Buffer.from(data, "utf8").toString("latin1");
  const text = bytes.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(text, "latin1");
}
