import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { basename, extname, join, resolve } from "node:path";
import { type Hub, isLoopback } from "./hub.ts";
import { type CatalogModel, readModelCatalog } from "./model-catalog.ts";
import { checkFilePath } from "./safe-path.ts";
import { WeightsError } from "./weights-error.ts";

/** Where a model comes from. */
export type ModelSource =
  | { readonly kind: "catalog"; readonly name: string; readonly model: CatalogModel }
  | {
      readonly kind: "repository";
      /** `owner/name`. */
      readonly id: string;
      readonly revision: string | undefined;
      /** One file of it; undefined for all that a model needs. */
      readonly path: string | undefined;
    }
  | { readonly kind: "url"; readonly url: string; readonly path: string }
  /** A folder, or one file. */
  | { readonly kind: "local"; readonly path: string };

/**
 * Reads what someone typed: a name of the catalog, `hf:owner/name[@revision][/file]`, the address of a repository or file
 * on the hub, the https address of a file elsewhere, a folder or file here.
 * @throws WeightsError with what would be understood
 */
export function parseModelSource(text: string, hub: Pick<Hub, "url">): ModelSource {
  const model = readModelCatalog().get(text);
  if (model !== undefined) return { kind: "catalog", name: text, model };
  if (text.startsWith("hf:")) return parseRepository(text.slice(3), text);
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(text)) return parseAddress(text, hub);
  const path = text.startsWith("~/") ? join(homedir(), text.slice(2)) : resolve(text);
  if (existsSync(path)) return { kind: "local", path };
  const isPath = /^[./~]|[\\]/.test(text) || [".gguf", ".safetensors", ".onnx"].includes(extname(text));
  const like = findLike(text);
  throw new WeightsError(isPath ? `There is no file or folder ${path}.` : `No model is named "${text}".`, {
    next: [
      ...(like === undefined ? [] : [`Did you mean ${like}?`]),
      "`sluice models list --all` shows the names; hf:OWNER/NAME, an https address or ./FOLDER work too.",
    ],
  });
}

/** What a model is called where nobody says: letters, digits, dots and dashes. */
export function suggestName(source: ModelSource): string {
  switch (source.kind) {
    case "catalog":
      return source.name;
    case "repository":
      return toName(source.path === undefined ? source.id : source.path);
    case "url":
      return toName(source.path);
    case "local":
      return toName(source.path);
    default:
      return source satisfies never;
  }
}

/** Whether a text can be the name of a model, and so of a folder: no path is, and no two names differ by case alone. */
export function isModelName(text: string): boolean {
  return /^[a-z0-9][a-z0-9._-]{0,63}$/.test(text);
}

/** @throws WeightsError */
export function checkModelName(name: string): string {
  if (isModelName(name)) return name;
  throw new WeightsError(`"${name}" cannot be the name of a model.`, {
    next: ["Names are small letters, digits, dots and dashes, at most 64: --name my-model"],
  });
}

function toName(path: string): string {
  const name = basename(path)
    .replace(/\.(gguf|safetensors|onnx)$/i, "")
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+/, "")
    .slice(0, 64);
  return name === "" ? "model" : name;
}

function parseRepository(text: string, asked: string): ModelSource {
  const [, id, revision, path] = /^([\w.-]+\/[\w.-]+)(?:@([\w./-]+?))?(?:\/(.+))?$/.exec(text) ?? [];
  if (id === undefined)
    throw new WeightsError(`"${asked}" is no repository of the hub.`, {
      next: ["Write hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:OWNER/NAME/FILE.gguf."],
    });
  return { kind: "repository", id, revision, path: path === undefined ? undefined : checkFilePath(path) };
}

const HUB_HOSTS = new Set(["huggingface.co", "www.huggingface.co", "hf.co"]);

function parseAddress(text: string, hub: Pick<Hub, "url">): ModelSource {
  const url = URL.parse(text);
  if (url === null || !isDecodable(url.pathname))
    throw new WeightsError(`"${text}" is not an address.`, {
      next: ["Write it whole: https://HOST/PATH/FILE.gguf, or a repository of the hub as hf:OWNER/NAME."],
    });
  if (url.username !== "" || url.password !== "")
    throw new WeightsError(`The address on ${url.host} holds a password, which is not sent.`, {
      next: [
        "Leave it out: a token for the hub goes into HF_TOKEN.",
        "From elsewhere fetch the file yourself and give its path.",
      ],
    });
  const base = new URL(hub.url);
  const isHub = HUB_HOSTS.has(url.host) || (url.host === base.host && url.pathname.startsWith(base.pathname));
  if (isHub) {
    const below =
      url.host === base.host ? url.pathname.slice(base.pathname.replace(/\/$/, "").length) : url.pathname;
    const parts = below
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
    const [owner, name, kind, revision, ...path] = parts;
    const isPage = kind === undefined || ["tree", "blob", "resolve", "raw"].includes(kind);
    if (owner !== undefined && name !== undefined && isPage) {
      const file = kind === "tree" || path.length === 0 ? undefined : checkFilePath(path.join("/"));
      return { kind: "repository", id: `${owner}/${name}`, revision, path: file };
    }
  }
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopback(url)))
    throw new WeightsError(`${text} is not https, so nobody can say what would arrive.`, {
      next: ["Use an https address, or fetch the file yourself and give its path."],
    });
  const path = checkFilePath(decodeURIComponent(url.pathname.split("/").at(-1) ?? ""));
  if (![".gguf", ".safetensors"].includes(extname(path).toLowerCase()))
    throw new WeightsError(`${text} is not the address of a .gguf or .safetensors file.`, {
      next: ["Give such a file, or a repository of the hub as hf:OWNER/NAME."],
    });
  return { kind: "url", url: text, path };
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false; // A percent sign that stands for itself.
  }
}

function findLike(text: string): string | undefined {
  const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, "");
  const names = [...readModelCatalog().keys()];
  const wanted = plain(text);
  return wanted.length < 3
    ? undefined
    : names.find((name) => plain(name).includes(wanted) || wanted.includes(plain(name)));
}
