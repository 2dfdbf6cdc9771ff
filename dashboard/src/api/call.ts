import { endSession, readSession } from "./session.ts";

/** One thing that is wrong with an input: `loc` leads to the field. */
export interface Problem {
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  readonly type: string;
}

/** The server refused a call, or cannot be reached (`status` 0). */
export class CallError extends Error {
  readonly status: number;
  /** What is wrong with which field, when the answer says it. */
  readonly problems: readonly Problem[];
  constructor(status: number, message: string, problems: readonly Problem[] = []) {
    super(message);
    this.name = "CallError";
    this.status = status;
    this.problems = problems;
  }
}

export interface CallOptions {
  readonly method?: string;
  readonly json?: unknown;
  readonly body?: BodyInit;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/**
 * Calls this server with the session of the page and gives the answer's JSON.
 * @throws CallError with a sentence to show
 */
export async function call<Answer>(path: string, options: CallOptions = {}): Promise<Answer> {
  const response = await send(path, options);
  const text = await response.text();
  return (text === "" ? undefined : JSON.parse(text)) as Answer;
}

/** As {@link call}, with the answer's body unread. */
export async function send(path: string, options: CallOptions = {}): Promise<Response> {
  const { json, signal, headers } = options;
  const session = readSession();
  let response: Response;
  try {
    response = await fetch(path, {
      method: options.method ?? (json === undefined && options.body === undefined ? "GET" : "POST"),
      headers: {
        ...(json === undefined ? {} : { "content-type": "application/json" }),
        ...(session === undefined ? {} : { "x-sluice-session": session.secret }),
        ...headers,
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      ...(options.body === undefined ? {} : { body: options.body }),
      ...(signal === undefined ? {} : { signal }),
    });
  } catch (error) {
    if (signal?.aborted === true) throw error;
    throw new CallError(0, "The server does not answer. Is it running?");
  }
  if (response.ok) return response;
  const error = await readError(response);
  if (error.status === 401 && session !== undefined && headers?.["authorization"] === undefined) endSession();
  throw error;
}

async function readError(response: Response): Promise<CallError> {
  const { status } = response;
  const fallback = `The server answered ${status} ${response.statusText}.`;
  const body = parse(await response.text().catch(() => ""));
  const detail = body?.["detail"];
  if (Array.isArray(detail)) {
    const problems = detail as readonly Problem[];
    return new CallError(status, problems.map((each) => each.msg).join("; ") || fallback, problems);
  }
  const inner = body?.["error"] as { readonly message?: unknown } | undefined;
  const message = [inner?.message, detail].find((each) => typeof each === "string");
  return new CallError(status, (message as string | undefined) ?? fallback);
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** A sentence for people. */
export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
