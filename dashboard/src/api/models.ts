import { useEffect, useState } from "react";
import type { Schema } from "../schema/schema.ts";
import { resolve } from "../schema/schema.ts";
import { call, describeError } from "./call.ts";

/** An endpoint of this server, as the gallery shows it. */
export interface Model {
  readonly endpointId: string;
  readonly title: string;
  readonly description: string;
  readonly category: string;
  readonly tags: readonly string[];
  readonly license: string | null;
  /** What really answers. */
  readonly answeredBy: { readonly name: string; readonly version: string } | undefined;
  readonly document: Document;
}

/** What the app reads of an endpoint's OpenAPI document. */
export interface Document {
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
  readonly paths: Readonly<Record<string, unknown>>;
  readonly servers: readonly { readonly url: string }[];
}

interface ModelAnswer {
  readonly endpoint_id: string;
  readonly metadata: {
    readonly display_name: string;
    readonly description: string;
    readonly category: string;
    readonly tags: readonly string[];
    readonly license?: string | null;
    readonly model?: { readonly name: string; readonly version: string };
  };
  readonly openapi: Document;
}

export type Loaded<T> =
  | { readonly state: "loading" }
  | { readonly state: "failed"; readonly message: string }
  | { readonly state: "loaded"; readonly value: T };

let loading: Promise<readonly Model[]> | undefined;

/** All endpoints, asked once for a page load; again after a failure. */
export function loadModels(): Promise<readonly Model[]> {
  loading ??= loadPages().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

export function useModels(): Loaded<readonly Model[]> {
  const [loaded, setLoaded] = useState<Loaded<readonly Model[]>>({ state: "loading" });
  useEffect(() => {
    let isGone = false;
    loadModels().then(
      (value) => !isGone && setLoaded({ state: "loaded", value }),
      (error: unknown) => !isGone && setLoaded({ state: "failed", message: describeError(error) }),
    );
    return () => {
      isGone = true;
    };
  }, []);
  return loaded;
}

async function loadPages(): Promise<readonly Model[]> {
  const models: Model[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const query: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: { models: ModelAnswer[]; next_cursor: string | null } = await call(
      `/v1/models?expand=openapi-3.0${query}`,
    );
    models.push(...page.models.map(readModel));
    cursor = page.next_cursor;
  }
  return models;
}

function readModel({ endpoint_id, metadata, openapi }: ModelAnswer): Model {
  return {
    endpointId: endpoint_id,
    title: metadata.display_name,
    description: metadata.description,
    category: metadata.category,
    tags: metadata.tags,
    license: metadata.license ?? null,
    answeredBy: metadata.model,
    document: openapi,
  };
}

/** The schema that a POST to the endpoint takes. */
export function findInputSchema({ document, endpointId }: Model): Schema {
  return resolve(readSchema(document.paths[`/${endpointId}`], "post", "requestBody"), document);
}

/** The schema of a result. */
export function findOutputSchema({ document, endpointId }: Model): Schema {
  const path = document.paths[`/${endpointId}/requests/{request_id}`];
  return resolve(readSchema(path, "get", "responses", "200"), document);
}

function readSchema(start: unknown, ...names: readonly string[]): Schema {
  let value = start;
  for (const name of [...names, "content", "application/json", "schema"])
    value = (value as Readonly<Record<string, unknown>> | undefined)?.[name];
  return (value as Schema | undefined) ?? {};
}
