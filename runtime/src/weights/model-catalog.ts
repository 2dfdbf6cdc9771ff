import { readFileSync } from "node:fs";
import type { LimitRange } from "./engine-overrides.ts";

/** What runs a model's files: our own pipelines on ONNX graphs, or stable-diffusion.cpp. */
export type EngineKind = "onnx" | "sd-server";

/** What a licence allows; see `model-catalog.schema.json`. */
export type LicenseTerms = "open" | "restricted" | "conditional" | "non-commercial";

/** Options of sd-server that take a file of weights. */
export type FileRole = "model" | "diffusion-model" | "vae" | "llm" | "clip_l" | "clip_g" | "t5xxl" | "tae";

export const FILE_ROLES: readonly FileRole[] = [
  "model",
  "diffusion-model",
  "vae",
  "llm",
  "clip_l",
  "clip_g",
  "t5xxl",
  "tae",
];

/** Files of one repository of the hub. */
export interface RepositoryFiles {
  readonly repository: string;
  /** Branch, tag or commit; default `main`. */
  readonly revision?: string;
  readonly role?: FileRole;
  /** Paths, with `*` for anything but a slash. */
  readonly include: readonly string[];
  /** By path, where known. */
  readonly sha256?: Readonly<Record<string, string>>;
}

/** What a model can be asked for; values outside of it are moved to its end and logged. */
export interface ModelLimits {
  readonly steps?: LimitRange;
  /** Null for a model that was distilled to need none. */
  readonly guidance?: LimitRange | null;
  /** What the scale does; default `classifier-free`. */
  readonly guidanceKind?: "classifier-free" | "distilled";
  /** Pixels. */
  readonly maxSide?: number;
  readonly maxArea?: number;
  readonly multipleOf?: number;
}

/** A model of the catalog file. */
export interface CatalogModel extends ModelLimits {
  readonly title: string;
  readonly license: string;
  readonly terms: LicenseTerms;
  readonly licenseUrl?: string;
  /** Null when nothing here runs it yet. */
  readonly engine: EngineKind | null;
  readonly family: string | null;
  /** Weights, for people: `4B + Qwen3-4B`. */
  readonly size: string;
  /** Published memory need; null when there is no figure. */
  readonly memoryBytes: number | null;
  readonly downloadBytes?: number;
  readonly endpoints?: readonly string[];
  readonly note?: string;
  readonly files: readonly RepositoryFiles[];
}

let models: ReadonlyMap<string, CatalogModel> | undefined;

/** The models of `model-catalog.json`, by name, in its order. */
export function readModelCatalog(): ReadonlyMap<string, CatalogModel> {
  if (models === undefined) {
    const text = readFileSync(new URL("./model-catalog.json", import.meta.url), "utf8");
    const document = JSON.parse(text) as { readonly models: Readonly<Record<string, CatalogModel>> };
    models = new Map(Object.entries(document.models));
  }
  return models;
}

/** Whether someone has to say that they accept the licence before the model is pulled or bound. */
export function needsAcceptance(terms: LicenseTerms): boolean {
  return terms === "conditional" || terms === "non-commercial";
}
