import type { RequiredConfig } from "./config.ts";
import { transformInput } from "./transform-input.ts";
import type { Untyped } from "./untyped.ts";
import type { UploadOptions } from "./upload.ts";
import type { Uploadable } from "./uploadable.ts";

export interface StorageClient {
  /** Uploads a file, bytes or a stream; resolves to its URL. */
  upload: (file: Uploadable, options?: UploadOptions) => Promise<string>;
  /** Uploads every file of an input and puts the URLs in their place. */
  transformInput: (
    input: Record<string, Untyped>,
    options?: { abortSignal?: AbortSignal | undefined },
  ) => Promise<Record<string, Untyped>>;
}

export function createStorageClient(config: RequiredConfig): StorageClient {
  return {
    upload: (file, options = {}) => upload(config, file, options),
    transformInput: (input, options) => uploadInputFiles(config, input, options?.abortSignal),
  };
}

/** Uploads the files of an input. */
export function uploadInputFiles<Input>(
  config: RequiredConfig,
  input: Input,
  signal: AbortSignal | undefined,
): Promise<Input> {
  return transformInput(input, (file, abortSignal) => upload(config, file, { abortSignal }), signal);
}

/** Loaded with the first upload: most programs never make one. */
async function upload(config: RequiredConfig, file: Uploadable, options: UploadOptions): Promise<string> {
  const { uploadFile } = await import("./upload.ts");
  return uploadFile(config, file, options);
}
