/** A file that the caller gave as input, read into memory. */
export interface InputFile {
  readonly bytes: Uint8Array;
  /** As sniffed or declared; `application/octet-stream` when unknown. */
  readonly contentType: string;
  readonly fileName?: string;
  /** Where it came from; a data URI is shortened. */
  readonly source: string;
}

export interface ReadFileOptions {
  /** Path of the field in the input, named in errors: `["body", "image_url"]`. */
  readonly loc?: readonly (string | number)[];
  /** Largest size in bytes; default 50 MiB. */
  readonly maxBytes?: number;
}
