import { createErrorDetail, formatApp, formatEndpointId, parseEndpointId } from "@sluice/protocol";
import type { JsonSchema, ModelFileManifest, ModelManifest } from "@sluice/runtime/model";
import type { Catalog, CatalogEntry, Validation } from "./catalog.ts";
import { checkInput } from "./check-input.ts";
import { createSchemaCompiler, type SchemaValidator } from "./compile-schema.ts";
import { parseBody } from "./parse-body.ts";
import { checkRefs, resolveRefs } from "./schema-refs.ts";
import { shortenInput } from "./shorten-input.ts";

/** A model file as its worker described it. */
export interface DescribedModelFile {
  readonly path: string;
  readonly manifest: ModelFileManifest;
  /** Epoch ms of the file's last change. */
  readonly updatedAt: number;
  /**
   * Another file may take over its endpoints, as an operator's own do with those that are shipped. Whoever ships it
   * has tested its schemas: they are compiled when they are first needed, and a start does not wait for it.
   */
  readonly isReplaceable?: boolean;
}

/** An endpoint cannot be offered: names the file, the endpoint, and what to change. */
export class CatalogError extends Error {
  readonly modelFile: string;
  readonly endpointId: string;
  constructor(modelFile: string, endpointId: string, problem: string, options: { cause?: unknown } = {}) {
    super(`${modelFile}: endpoint "${endpointId}": ${problem}`, options);
    this.name = "CatalogError";
    this.modelFile = modelFile;
    this.endpointId = endpointId;
  }
}

/**
 * The endpoints of these files, in their order.
 * @throws CatalogError for a malformed or repeated endpoint id and for a schema that cannot be used
 */
export function createCatalog(files: readonly DescribedModelFile[]): Catalog {
  const compile = createSchemaCompiler();
  const entries = new Map<string, CatalogEntry>();
  const kept = files.filter((file) => file.isReplaceable !== true);
  const taken = new Set(kept.flatMap((file) => file.manifest.models.map((manifest) => manifest.id)));
  for (const file of files) {
    for (const manifest of file.manifest.models) {
      if (file.isReplaceable === true && taken.has(manifest.id)) continue;
      const other = entries.get(manifest.id);
      if (other !== undefined)
        throw new CatalogError(
          file.path,
          manifest.id,
          `${other.modelFile} already has it; rename one of them.`,
        );
      entries.set(manifest.id, createEntry(file, manifest, compile));
    }
  }
  const list = [...entries.values()];
  const apps = new Set(list.map((entry) => entry.app));
  return {
    list: () => list,
    find: (endpointId) => entries.get(endpointId),
    hasApp: (app) => apps.has(app),
  };
}

function createEntry(
  file: DescribedModelFile,
  manifest: ModelManifest,
  compile: ReturnType<typeof createSchemaCompiler>,
): CatalogEntry {
  const id = parseEndpointId(manifest.id);
  if (id === undefined || formatEndpointId(id) !== manifest.id)
    throw new CatalogError(
      file.path,
      manifest.id,
      `an id is "owner/name" or "owner/name/path", as in "acme/shout".`,
    );
  if (manifest.id.split("/").includes("requests"))
    throw new CatalogError(
      file.path,
      manifest.id,
      `"requests" is part of the queue's routes; choose another name.`,
    );
  const { input, output } = manifest;
  const validateInput = useSchema("input", input, "body");
  const validateOutput = useSchema("output", output, "output");
  return {
    endpointId: manifest.id,
    app: formatApp(id),
    manifest,
    modelFile: file.path,
    updatedAt: file.updatedAt,
    validateInput: (body) => validateBody(body, input, validateInput),
    validateOutput: (value) => {
      const problem = validateOutput(value);
      return problem === undefined ? [] : [problem];
    },
  };

  function useSchema(name: "input" | "output", schema: JsonSchema, root: string): SchemaValidator {
    try {
      checkRefs(schema);
      const resolved = resolveRefs(schema, schema);
      if (name === "input" && resolved["type"] !== "object" && resolved["properties"] === undefined)
        throw new Error(`it must have "type": "object": a request's body is an object of named fields`);
      return file.isReplaceable === true ? compileLater(() => compile(schema, root)) : compile(schema, root);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new CatalogError(file.path, manifest.id, `the ${name} schema cannot be used: ${reason}.`, {
        cause,
      });
    }
  }
}

function compileLater(compile: () => SchemaValidator): SchemaValidator {
  let validate: SchemaValidator | undefined;
  return (value) => {
    validate ??= compile();
    return validate(value);
  };
}

function validateBody(body: Uint8Array | null, schema: JsonSchema, validate: SchemaValidator): Validation {
  if (body === null || body.byteLength === 0) return refuseMissing();
  const parsed = parseBody(body);
  if (!parsed.ok) return parsed;
  if (parsed.value === null) return refuseMissing();
  if (typeof parsed.value !== "object" || Array.isArray(parsed.value)) {
    const item = createErrorDetail("model_attributes_type", ["body"], { input: shortenInput(parsed.value) });
    return { ok: false, detail: [item] };
  }
  const { value, detail } = checkInput(schema, parsed.value, ["body"]);
  if (detail.length > 0) return { ok: false, detail };
  const problem = validate(value);
  if (problem !== undefined) return { ok: false, detail: [problem] };
  return { ok: true, input: value as Readonly<Record<string, unknown>> };
}

function refuseMissing(): Validation {
  return { ok: false, detail: [createErrorDetail("missing", ["body"], { input: null })] };
}
