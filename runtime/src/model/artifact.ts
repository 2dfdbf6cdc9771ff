const BRAND: unique symbol = Symbol.for("sluice.artifact") as never;

/** Bytes a model made, still in memory. Put it anywhere in the output: the runner stores it and puts a file there. */
export interface Artifact {
  readonly [BRAND]: true;
  readonly bytes: Uint8Array;
  /** MIME type, for example `image/jpeg`. */
  readonly contentType: string;
  /** Pixels; for pictures. */
  readonly width?: number;
  readonly height?: number;
  /** Name without a path; default `output.<ext>`. */
  readonly fileName?: string;
  /** True: the bytes come back as a data URI and nothing is stored (`sync_mode`). Default false. */
  readonly inline?: boolean;
}

/** Marks bytes as something to store. */
export function createArtifact(fields: {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  readonly fileName?: string | undefined;
  readonly inline?: boolean | undefined;
}): Artifact {
  const { bytes, contentType, width, height, fileName, inline } = fields;
  return {
    [BRAND]: true,
    bytes,
    contentType,
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
    ...(fileName === undefined ? {} : { fileName }),
    ...(inline === undefined ? {} : { inline }),
  };
}

export function isArtifact(value: unknown): value is Artifact {
  return typeof value === "object" && value !== null && (value as { [BRAND]?: unknown })[BRAND] === true;
}
