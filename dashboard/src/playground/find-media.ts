/** A file in an output. */
export interface Media {
  readonly url: string;
  readonly kind: "image" | "video" | "audio" | "file";
  readonly width?: number;
  readonly height?: number;
  readonly name: string;
  readonly path: string;
}

/** Every file of an output, in its order: objects with a `url`, wherever they stand. */
export function findMedia(output: unknown, path = ""): readonly Media[] {
  if (typeof output !== "object" || output === null) return [];
  if (Array.isArray(output)) return output.flatMap((item, index) => findMedia(item, `${path}[${index}]`));
  const value = output as Readonly<Record<string, unknown>>;
  const url = value["url"];
  if (typeof url === "string" && isFileUrl(url)) {
    const type =
      typeof value["content_type"] === "string"
        ? value["content_type"]
        : (/^data:([^;,]+)/.exec(url)?.[1] ?? "");
    const kind =
      (["image", "video", "audio"] as const).find((each) => type.startsWith(`${each}/`)) ?? guess(url);
    const { width, height } = value;
    return [
      {
        url,
        kind,
        path,
        name: typeof value["file_name"] === "string" ? value["file_name"] : nameOf(url, type),
        ...(typeof width === "number" && typeof height === "number" ? { width, height } : {}),
      },
    ];
  }
  return Object.entries(value).flatMap(([name, member]) =>
    findMedia(member, path === "" ? name : `${path}.${name}`),
  );
}

/** A model's output may hold any text as a URL: a link to a script is none. */
function isFileUrl(url: string): boolean {
  if (/^data:(?:image|video|audio|text\/plain|application\/octet-stream)/.test(url)) return true;
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);
}

function guess(url: string): Media["kind"] {
  return /\.(?:png|jpe?g|webp|gif|avif)(?:$|\?)/i.test(url) ? "image" : "file";
}

function nameOf(url: string, type: string): string {
  if (url.startsWith("data:")) return `output.${type.split("/")[1] ?? "bin"}`;
  return new URL(url).pathname.split("/").at(-1) || "output";
}

/** Where the page loads a file from: this server's own by path, since the page may be open under another name. */
export function toLocal(url: string): string {
  if (!/^https?:/.test(url)) return url;
  const { pathname, search } = new URL(url);
  return pathname.startsWith("/cdn/") ? pathname + search : url;
}
