import { PlatformError } from "./platform-error.ts";

/** Most ids in one filter (fal model API, "Platform APIs: conventions"). */
const MAX_IDS = 50;

/** A whole number of at least 1. @throws PlatformError above `max` */
export function readLimit(
  query: URLSearchParams,
  options: { readonly fallback: number; readonly max: number },
): number {
  const text = query.get("limit");
  if (text === null) return options.fallback;
  const limit = Number(text);
  if (!/^\d+$/.test(text) || limit < 1 || limit > options.max)
    throw invalid(`"limit" must be a whole number from 1 to ${options.max}.`);
  return limit;
}

/** Values of a parameter that may be repeated and hold commas. */
export function readList(query: URLSearchParams, name: string): readonly string[] {
  if (query.getAll(name).some((text) => text.includes("\0"))) throw invalid(`"${name}" must be text.`);
  const parts = query.getAll(name).flatMap((text) => text.split(","));
  return [...new Set(parts.map((part) => part.trim()).filter((part) => part !== ""))];
}

/** Endpoint ids of a filter, at most 50. */
export function readEndpointIds(query: URLSearchParams): readonly string[] {
  const ids = readList(query, "endpoint_id");
  if (ids.length > MAX_IDS) throw invalid(`"endpoint_id" takes at most ${MAX_IDS} ids.`);
  return ids;
}

/** As {@link readEndpointIds}, but there must be one. */
export function requireEndpointIds(query: URLSearchParams): readonly string[] {
  const ids = readEndpointIds(query);
  if (ids.length === 0) throw invalid(`"endpoint_id" is required, for example ?endpoint_id=fal-ai/flux-pro.`);
  return ids;
}

/** One of `choices`, or undefined when the parameter is absent. */
export function readChoice<Choice extends string>(
  query: URLSearchParams,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  const choice = choices.find((each) => each === text);
  if (choice === undefined) throw invalid(`"${name}" must be one of ${choices.join(", ")}.`);
  return choice;
}

/** Each of `expand`; one that the route does not know is refused. */
export function readExpand<Choice extends string>(
  query: URLSearchParams,
  choices: readonly Choice[],
): ReadonlySet<Choice> {
  return new Set(
    readList(query, "expand").map((text) => {
      const choice = choices.find((each) => each === text);
      if (choice === undefined)
        throw invalid(`"expand" takes ${choices.join(", ")}; "${text}" is none of them.`);
      return choice;
    }),
  );
}

/** A span of time, epoch ms: `start` is part of it, `end` is not. */
export interface Period {
  readonly startAt: number;
  readonly endAt: number;
}

/** `start` and `end` as ISO date-times or dates; default: the last `defaultMs` before `now`. */
export function readPeriod(
  query: URLSearchParams,
  options: { readonly now: number; readonly defaultMs: number; readonly maxMs?: number },
): Period {
  const endAt = readTime(query, "end") ?? options.now;
  const startAt = readTime(query, "start") ?? endAt - options.defaultMs;
  if (startAt >= endAt) throw invalid(`"start" must be before "end".`);
  if (options.maxMs !== undefined && endAt - startAt > options.maxMs)
    throw invalid(`"start" and "end" may be at most ${options.maxMs / DAY_MS} days apart.`);
  return { startAt, endAt };
}

export const DAY_MS = 86_400_000;

const DATE = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$/i;

/** A time as epoch ms; without an offset it is UTC. */
export function readTime(query: URLSearchParams, name: string): number | undefined {
  // "+" of an offset arrives as a space.
  const text = query.get(name)?.replace(/ (\d{2}:?\d{2})$/, "+$1");
  if (text === undefined || text === "") return undefined;
  const hasOffset = /(?:Z|[+-]\d{2}:?\d{2})$/i.test(text.slice(10));
  const at = DATE.test(text) ? Date.parse(text.length > 10 && !hasOffset ? `${text}Z` : text) : Number.NaN;
  if (Number.isNaN(at))
    throw invalid(
      `"${name}" must be a date (2026-01-31) or a date-time (2026-01-31T12:00:00Z), not "${text}".`,
    );
  return at;
}

/** An id of a request or key, or undefined when the parameter is absent. */
export function readId(query: URLSearchParams, name: string): string | undefined {
  const text = query.get(name) ?? "";
  if (text === "") return undefined;
  if (!isId(text)) throw invalid(`"${name}" must be an id such as 764cabcf-b745-4b3e-ae38-1200304cf45b.`);
  return text;
}

/** True for a UUID in lower case: what ids of requests and keys are. */
export function isId(text: string): boolean {
  return UUID.test(text);
}

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/** True or false as text; `fallback` when absent. */
export function readFlag(query: URLSearchParams, name: string, fallback: boolean): boolean {
  const choice = readChoice(query, name, ["true", "false"]);
  return choice === undefined ? fallback : choice === "true";
}

/** One page of a list held in memory. The cursor is the page's number in base64, as the hosted service's is. */
export function takePage<Item>(
  items: readonly Item[],
  query: URLSearchParams,
  limit: number,
): { readonly items: readonly Item[]; readonly page: PageFields } {
  const number = readPageNumber(query);
  const start = (number - 1) * limit;
  const hasMore = start + limit < items.length;
  return {
    items: items.slice(start, start + limit),
    page: formatPage(hasMore ? Buffer.from(String(number + 1)).toString("base64") : null),
  };
}

export interface PageFields {
  readonly next_cursor: string | null;
  readonly has_more: boolean;
}

export function formatPage(nextCursor: string | null): PageFields {
  return { next_cursor: nextCursor, has_more: nextCursor !== null };
}

function readPageNumber(query: URLSearchParams): number {
  const cursor = query.get("cursor");
  if (cursor === null || cursor === "") return 1;
  const text = Buffer.from(cursor, "base64").toString("utf8");
  if (!/^[1-9]\d{0,8}$/.test(text))
    throw invalid(`"cursor" must be the "next_cursor" of the page before; leave it out for the first page.`);
  return Number(text);
}

export function invalid(message: string): PlatformError {
  return new PlatformError("validation_error", message);
}
