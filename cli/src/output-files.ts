/** A file somewhere in an output. */
export interface OutputFile {
  readonly url: string;
  /** With the dot; by content type, else from the URL, else `.bin`. */
  readonly extension: string;
}

const EXTENSIONS: Readonly<Record<string, string>> = {
  "image/jpeg": ".jpg",
  "image/png": ".png",
  "image/webp": ".webp",
  "image/gif": ".gif",
  "audio/mpeg": ".mp3",
  "audio/wav": ".wav",
  "video/mp4": ".mp4",
};

/** Every object with a `url` of http(s) or data, in the order of the output. */
export function findFiles(output: unknown): OutputFile[] {
  if (Array.isArray(output)) return output.flatMap((item) => findFiles(item));
  if (typeof output !== "object" || output === null) return [];
  const fields = output as Record<string, unknown>;
  const url = fields["url"];
  if (typeof url === "string" && /^(https?|data):/.test(url))
    return [{ url, extension: chooseExtension(url, fields["content_type"]) }];
  return Object.values(fields).flatMap((value) => findFiles(value));
}

function chooseExtension(url: string, contentType: unknown): string {
  const declared = typeof contentType === "string" ? contentType : /^data:([^;,]+)/.exec(url)?.[1];
  const known = declared === undefined ? undefined : EXTENSIONS[declared];
  return (
    known ??
    (url.startsWith("data:") ? ".bin" : (/\.[a-z0-9]{1,5}$/i.exec(new URL(url).pathname)?.[0] ?? ".bin"))
  );
}
