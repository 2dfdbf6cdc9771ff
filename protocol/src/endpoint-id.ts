/**
 * Endpoint ids of the fal model API:
 *
 *     endpoint-id = [ namespace "/" ] owner "/" alias [ "/" path ]
 *     namespace   = "workflows" / "comfy"
 *
 * Submit and run use the full id; status, result and cancel may drop the path.
 */
export interface EndpointId {
  readonly namespace?: "workflows" | "comfy";
  readonly owner: string;
  readonly alias: string;
  /** Without a leading slash; absent when the id has none. */
  readonly path?: string;
}

const NAMESPACES = ["workflows", "comfy"] as const;
const SEGMENT = /^[A-Za-z0-9._~@+-]+$/;
const LEGACY = /^([0-9]+)-([A-Za-z0-9-]+)$/;

/** Parses an id; undefined when it does not follow the grammar. Legacy `110602490-lora` becomes `110602490/lora`. */
export function parseEndpointId(text: string): EndpointId | undefined {
  const legacy = text.includes("/") ? null : LEGACY.exec(text);
  const parts = legacy === null ? text.split("/") : [legacy[1] ?? "", legacy[2] ?? ""];
  if (parts.length < 2 || parts.length > 16 || parts.some((part) => !isSegment(part))) return undefined;
  const namespace = NAMESPACES.find((name) => name === parts[0]);
  const [owner, alias, ...rest] = namespace === undefined ? parts : parts.slice(1);
  if (owner === undefined || alias === undefined) return undefined;
  return {
    ...(namespace === undefined ? {} : { namespace }),
    owner,
    alias,
    ...(rest.length === 0 ? {} : { path: rest.join("/") }),
  };
}

/** `[namespace/]owner/alias`: the part that status, result and cancel routes agree on. */
export function formatApp(id: EndpointId): string {
  const app = `${id.owner}/${id.alias}`;
  return id.namespace === undefined ? app : `${id.namespace}/${app}`;
}

/** The full id as text; the inverse of {@link parseEndpointId}. */
export function formatEndpointId(id: EndpointId): string {
  return id.path === undefined ? formatApp(id) : `${formatApp(id)}/${id.path}`;
}

function isSegment(part: string): boolean {
  return SEGMENT.test(part) && part !== "." && part !== "..";
}
