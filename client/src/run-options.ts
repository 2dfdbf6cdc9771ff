import { buildLifecycleHeaders, type StorageSettings } from "./storage-settings.ts";

/** What every way of calling an endpoint takes. */
export type RunOptions<Input> = {
  /** Becomes the body, or the query string when the method is `get`. Files anywhere in it are uploaded first. */
  readonly input?: Input | undefined;
  /** `post` by default. */
  readonly method?: "get" | "post" | "put" | "delete" | string | undefined;
  /** Ends the call wherever it is, and cancels the request on the server. */
  readonly abortSignal?: AbortSignal | undefined;
  /** How long files that the request makes are kept, and who may read them. */
  readonly storageSettings?: StorageSettings | undefined;
  /** Seconds, above 1: the request fails if the work has not begun by then. */
  readonly startTimeout?: number | undefined;
  /** Milliseconds for the whole call, uploads and retries included. */
  readonly timeout?: number | undefined;
  /** Upload files of the input; true by default. */
  readonly autoUpload?: boolean | undefined;
};

export type UrlOptions = {
  readonly subdomain?: string;
  readonly query?: Record<string, string>;
  path?: string;
};

/** Headers of the options above. @throws Error when `startTimeout` is not a number above 1 */
export function buildRunHeaders(
  options: Pick<RunOptions<unknown>, "startTimeout" | "storageSettings">,
): Record<string, string> {
  const { startTimeout, storageSettings } = options;
  const headers = buildLifecycleHeaders("x-fal-object-lifecycle-preference", storageSettings);
  if (startTimeout === undefined) return headers;
  if (typeof startTimeout !== "number" || !(startTimeout > 1)) {
    throw new Error(`startTimeout must be a number of seconds above 1, not ${String(startTimeout)}`);
  }
  return { ...headers, "x-fal-request-timeout": String(startTimeout) };
}
