import type { ShippedEndpointTypes } from "./shipped-endpoints.ts";
import type { Untyped } from "./untyped.ts";

export type * from "./shipped-endpoints.ts";

/**
 * Input and output types by endpoint id. Open: what `sluice types` writes for your server plugs in here, and so
 * can you:
 *
 *     declare module "@sluice/client" {
 *       interface EndpointTypes {
 *         "acme/poster": { input: { title: string }; output: { images: { url: string }[] } };
 *       }
 *     }
 */
// biome-ignore lint/suspicious/noEmptyInterface: it is empty so that others can fill it.
export interface EndpointTypes {}

/** The entries of {@link EndpointTypes}, and the shipped endpoints that it does not redefine. */
export type EndpointTypeMap = EndpointTypes & Omit<ShippedEndpointTypes, keyof EndpointTypes>;

/** Any endpoint id; the ones with types are offered by the editor. */
export type EndpointType = keyof EndpointTypeMap | (string & {});

export type InputType<Id extends string> = Id extends keyof EndpointTypeMap
  ? EndpointTypeMap[Id]["input"]
  : Record<string, Untyped>;

export type OutputType<Id extends string> = Id extends keyof EndpointTypeMap
  ? EndpointTypeMap[Id]["output"]
  : Untyped;
