import { describeCertificateError } from "./certificate-error.ts";
import { checkFilePath } from "./safe-path.ts";
import { WeightsError } from "./weights-error.ts";

/** Where weights come from, and who asks. */
export interface Hub {
  /** Address of the hub or of a mirror with the same paths, without a slash at its end. */
  readonly url: string;
  /** Goes to this hub's own host only, and only over https or to this machine itself. */
  readonly token: string | undefined;
  /** Nothing is fetched. */
  readonly isOffline: boolean;
  /** First wait before another try, in milliseconds, doubled each time; default 1,000. */
  readonly retryMs?: number;
  /** A connection that says nothing for so long is given up, in milliseconds; default 60,000. */
  readonly idleMs?: number;
}

/** A file that can be fetched. */
export interface RemoteFile {
  /** Where it goes, below the model's folder. */
  readonly path: string;
  readonly url: string;
  /** Undefined when only the answer will tell. */
  readonly bytes: number | undefined;
  readonly sha256: string | undefined;
  /** SHA-1 of a git blob with this content: what the hub knows of small files. */
  readonly gitOid: string | undefined;
}

export interface Repository {
  /** `owner/name`. */
  readonly id: string;
  /** The commit that the revision stands for now. */
  readonly commit: string;
  readonly license: string | undefined;
  readonly files: readonly RemoteFile[];
}

/**
 * What a repository of the hub holds at a revision.
 * @throws WeightsError when it is not there, not open to us, or names files outside of its folder
 */
export async function readRepository(
  hub: Hub,
  { id, revision = "main" }: { readonly id: string; readonly revision?: string | undefined },
  signal: AbortSignal,
): Promise<Repository> {
  const url = `${hub.url}/api/models/${id}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const text = await readRemoteText(hub, url, signal);
  let document: HubModel;
  try {
    document = parseHubModel(JSON.parse(text));
  } catch (cause) {
    throw new WeightsError(
      `${hub.url} does not answer as a hub does: its list of ${id} is not understood (${(cause as Error).message}).`,
      { next: ["SLUICE_HUB is the address of a hub or of a mirror with the same paths."], cause },
    );
  }
  const commit = document.sha ?? revision;
  const files = (document.siblings ?? []).map(({ rfilename, size, lfs, blobId }): RemoteFile => {
    const path = checkFilePath(rfilename);
    return {
      path,
      url: getFileUrl(hub, { id, revision: commit }, path),
      bytes: lfs?.size ?? size ?? undefined,
      sha256: lfs?.sha256,
      gitOid: lfs ? undefined : blobId,
    };
  });
  const license = document.cardData?.license_name ?? document.cardData?.license;
  return { id, commit, files, license: typeof license === "string" ? license : undefined };
}

/** Address of one file of a repository. */
export function getFileUrl(
  hub: Hub,
  { id, revision }: { readonly id: string; readonly revision: string },
  path: string,
): string {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `${hub.url}/${id}/resolve/${encodeURIComponent(revision)}/${encoded}`;
}

interface HubModel {
  readonly sha?: string;
  readonly siblings?: readonly {
    readonly rfilename: string;
    readonly size?: number | null;
    readonly blobId?: string;
    readonly lfs?: { readonly sha256?: string; readonly size?: number } | null;
  }[];
  readonly cardData?: { readonly license?: unknown; readonly license_name?: unknown };
}

/** @throws Error that says what is odd */
function parseHubModel(document: unknown): HubModel {
  const model = document as HubModel | null;
  for (const { rfilename, size, lfs } of model?.siblings ?? []) {
    if (typeof rfilename !== "string") throw new TypeError("a file has no name");
    const lengths = [size, lfs?.size].filter((length) => length !== undefined && length !== null);
    if (!lengths.every((length) => Number.isSafeInteger(length) && length >= 0))
      throw new TypeError(`${rfilename} has no length`);
  }
  if (typeof model !== "object" || model === null) throw new TypeError("it is no object");
  return model;
}

const TRIES = 5;
const REDIRECTS = 10;
const IDLE_MS = 60_000;
const RETRY_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

/**
 * Asks for a URL and follows its redirects. Answers that may pass (429, 5xx, a broken connection) are asked for
 * again; 200, 206 and 416 are for the caller.
 * @throws WeightsError for every other answer; the signal's reason
 */
export function openRemote(
  hub: Hub,
  url: string,
  options: { readonly signal: AbortSignal; readonly headers?: Record<string, string> },
): Promise<Response> {
  return ask(hub, url, { ...options, take: async (response) => response });
}

/** All of a short answer: one that breaks off or stops coming is asked for again, too. @throws as `openRemote` does */
function readRemoteText(hub: Hub, url: string, signal: AbortSignal): Promise<string> {
  const idleMs = hub.idleMs ?? IDLE_MS;
  const take = async (response: Response, giveUp: (reason: Error) => void): Promise<string> => {
    const timer = setTimeout(() => giveUp(new Error(`its answer takes more than ${idleMs} ms`)), idleMs);
    try {
      return await response.text();
    } finally {
      clearTimeout(timer);
    }
  };
  return ask(hub, url, { signal, take });
}

interface Question<T> {
  readonly signal: AbortSignal;
  readonly headers?: Record<string, string>;
  /** What is made of an answer, within the try that it belongs to; `giveUp` ends the answer. */
  readonly take: (response: Response, giveUp: (reason: Error) => void) => Promise<T>;
}

async function ask<T>(hub: Hub, url: string, { signal, headers = {}, take }: Question<T>): Promise<T> {
  if (hub.isOffline)
    throw new WeightsError(`Offline mode is on, so ${url} is not fetched.`, {
      next: [
        "Pull it where there is a network and give the folder: sluice models pull ./FOLDER,",
        "or unset SLUICE_OFFLINE (and HF_HUB_OFFLINE).",
      ],
    });
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    let waitMs = Math.min((hub.retryMs ?? RETRY_MS) * 2 ** (attempt - 1), LONGEST_WAIT_MS);
    const late = new AbortController();
    try {
      const response = await follow(hub, url, headers, AbortSignal.any([signal, late.signal]));
      if (response.ok || response.status === 416) return await take(response, (reason) => late.abort(reason));
      const isPassing = response.status === 429 || response.status >= 500;
      if (!isPassing || attempt === TRIES) throw await describeAnswer(hub, url, response);
      waitMs = readRetryAfter(response) ?? waitMs;
      await response.body?.cancel();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof WeightsError || attempt === TRIES) throw describeFailure(url, error);
    }
    await sleep(waitMs, signal);
  }
}

/** The token goes to the hub itself and never with a redirect to somebody else. */
async function follow(
  hub: Hub,
  start: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Response> {
  let url = new URL(start);
  for (let hop = 0; hop <= REDIRECTS; hop++) {
    const isHub = isOfHub(hub, url) && isPrivate(url);
    const response = await fetchHead(url, {
      headers: {
        "user-agent": "sluice",
        // Ranges are of the bytes as they are stored.
        "accept-encoding": "identity",
        ...headers,
        ...(isHub && hub.token !== undefined ? { authorization: `Bearer ${hub.token}` } : {}),
      },
      signal,
      idleMs: hub.idleMs ?? IDLE_MS,
    });
    const location = response.headers.get("location");
    if (response.status < 300 || response.status >= 400 || location === null) return response;
    await response.body?.cancel();
    const next = new URL(location, url);
    if (next.protocol !== "https:" && (url.protocol === "https:" || !isLoopback(next)))
      throw new WeightsError(
        `${url.origin} leads to ${next.origin}, which is not https. It was not followed.`,
      );
    url = next;
  }
  throw new WeightsError(`${start} leads from one address to another more than ${REDIRECTS} times.`);
}

/** The answer's head has to come in time; its body may take as long as it flows. */
async function fetchHead(
  url: URL,
  options: {
    readonly headers: Record<string, string>;
    readonly signal: AbortSignal;
    readonly idleMs: number;
  },
): Promise<Response> {
  const { headers, signal, idleMs } = options;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`no answer within ${idleMs} ms`)), idleMs);
  try {
    return await fetch(url, { headers, redirect: "manual", signal: AbortSignal.any([signal, late.signal]) });
  } catch (error) {
    throw describeCertificateError(url.host, error) ?? error;
  } finally {
    clearTimeout(timer);
  }
}

function isOfHub(hub: Hub, url: URL): boolean {
  return url.origin === new URL(hub.url).origin;
}

function isPrivate(url: URL): boolean {
  return url.protocol === "https:" || isLoopback(url);
}

/** Plain http is for this machine alone. */
export function isLoopback({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d+){3}$/.test(hostname);
}

function readRetryAfter(response: Response): number | undefined {
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return Number.isFinite(seconds) ? Math.min(Math.max(0, seconds * 1000), LONGEST_WAIT_MS) : undefined;
}

async function describeAnswer(hub: Hub, url: string, response: Response): Promise<WeightsError> {
  const { status, headers } = response;
  const code = headers.get("x-error-code");
  const said = headers.get("x-error-message");
  await response.body?.cancel();
  const page = url.replace(/\/(?:resolve|revision)\/.*$/, "").replace("/api/models/", "/");
  const words = said === null ? "" : ` It says: ${said}`;
  switch (true) {
    case (status === 401 || status === 403) && !isOfHub(hub, new URL(url)):
      return new WeightsError(
        `${url.replace(/[?#].*$/s, "")} answers only those whom it knows (${status}).${words}`,
        { next: ["Fetch the file yourself and give its path: HF_TOKEN goes to the hub alone."] },
      );
    case status === 401 && hub.token === undefined:
      return new WeightsError(`${page} does not exist, or may be read only with a token.${words}`, {
        next: ["Check the name. If it is right, set HF_TOKEN to a token of your account on the hub."],
      });
    case status === 401:
      return new WeightsError(`${page} does not exist, or HF_TOKEN is not accepted there.${words}`, {
        next: ["Check the name and the token; a token may have run out."],
      });
    case status === 403 || code === "GatedRepo":
      return new WeightsError(`${page} is not open to ${hub.token ? "this account" : "everybody"}.${words}`, {
        next: [`Accept its terms at ${page}, then set HF_TOKEN to a token of that account.`],
      });
    case status === 404:
      return new WeightsError(`${url.includes("/api/models/") ? page : url} does not exist (404).${words}`, {
        next: ["Check owner, name, revision and file."],
      });
    case status === 429:
      return new WeightsError(
        `${new URL(url).host} wants fewer requests (429) and still does after ${TRIES} tries.`,
        {
          next: [
            "Wait a while and pull again: it goes on where it stopped. HF_TOKEN raises the hub's limits.",
          ],
        },
      );
    default:
      return new WeightsError(`${url} answered ${status}${status >= 500 ? ` ${TRIES} times` : ""}.${words}`, {
        next: ["Pull again later: it goes on where it stopped. SLUICE_HUB names a mirror."],
      });
  }
}

function describeFailure(url: string, error: unknown): WeightsError {
  if (error instanceof WeightsError) return error;
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  const why = cause?.code ?? cause?.message ?? (error as Error).message;
  return new WeightsError(`${new URL(url).host} cannot be reached: ${why}.`, {
    next: [
      "Check the network. Behind a proxy: NODE_USE_ENV_PROXY=1 with HTTPS_PROXY.",
      "SLUICE_HUB names a mirror; what was fetched is kept, pull again to go on.",
    ],
    cause: error,
  });
}

/** @throws the signal's reason */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}
