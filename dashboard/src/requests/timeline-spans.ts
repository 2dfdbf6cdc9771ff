import type { TimelineEvent } from "../api/requests.ts";

/** A row of the timeline: what lasted from when to when, epoch ms. */
export interface Span {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** What else is known, in words. */
  readonly note: string;
  /** Of the steps: how long each took, in ms. */
  readonly parts?: readonly number[];
  /** 0 before the first attempt. */
  readonly attempt: number;
}

/**
 * The timeline as spans: each event ends the time since the one before it. The time before a lease is the queue's; the
 * steps stand before the decoding of their picture, as long as their own times say: pictures are made one after the
 * other, each in as many steps.
 *
 * @param now given for a request that goes on: a last span lasts until then
 */
export function createSpans(events: readonly TimelineEvent[], now: number | undefined): readonly Span[] {
  const spans: Span[] = [];
  /** By attempt: the steps of each picture that is not drawn yet. */
  const steps = new Map<number, (readonly number[])[]>();
  for (const { attempt, data } of events) {
    const times = readData(data)["step_ms"];
    if (!Array.isArray(times)) continue;
    const decoded = events.filter((event) => event.kind === "decoded" && event.attempt === attempt);
    steps.set(attempt ?? 0, divide(times.map(Number), decoded.length));
  }
  let before: number | undefined;
  for (const event of events) {
    const end = Date.parse(event.at);
    const attempt = event.attempt ?? 0;
    const start = before === undefined ? end : Math.min(before, end);
    const add = (name: string, from: number, to: number, note = "", parts?: readonly number[]): void => {
      spans.push({ name, start: from, end: to, note, attempt, ...(parts === undefined ? {} : { parts }) });
    };
    switch (event.kind) {
      case "leased":
        add("queued", start, end);
        add("leased", end, end, describeRunner(event));
        break;
      case "decoded":
      case "stored": {
        const times = steps.get(attempt)?.shift();
        const sum = (times ?? []).reduce((total, ms) => total + ms, 0);
        // Clocks of the worker and of the queue differ by a little: the steps end before what follows them.
        const until = Math.min(start + sum, end);
        if (times !== undefined) {
          add("steps", start, until, describeSteps(times), times);
        }
        add(event.kind, times === undefined ? start : until, end, describeStored(event));
        break;
      }
      default:
        add(event.kind.replaceAll("_", " "), start, end, describeOther(event));
    }
    before = end;
  }
  const last = spans.at(-1);
  if (now === undefined || last === undefined) return spans;
  const { attempt } = last;
  const isWaiting = ["accepted", "abandoned"].includes(events.at(-1)?.kind ?? "");
  return [
    ...spans,
    {
      name: isWaiting ? "queued" : "now",
      start: last.end,
      end: Math.max(now, last.end),
      note: "so far",
      attempt,
    },
  ];
}

/** What became of each attempt. */
export interface Attempt {
  readonly number: number;
  readonly startedAt: string;
  readonly seconds: number | undefined;
  readonly runner: string;
  readonly outcome: string;
  readonly isFailure: boolean;
}

export function listAttempts(events: readonly TimelineEvent[], state: string): readonly Attempt[] {
  const numbers = [...new Set(events.map(({ attempt }) => attempt ?? 0))].filter((number) => number > 0);
  return numbers.flatMap((number): readonly Attempt[] => {
    const own = events.filter(({ attempt }) => attempt === number);
    const lease = own.find(({ kind }) => kind === "leased");
    if (lease === undefined) return [];
    const end = own.find(({ kind }) => kind === "abandoned" || kind === "ended" || kind === "released");
    const data = readData(end?.data);
    const failure = [data["failure"], data["message"]].filter((each) => typeof each === "string").join(": ");
    const outcome =
      end === undefined
        ? "runs"
        : end.kind === "ended"
          ? state
          : end.kind === "released"
            ? "given back"
            : failure;
    return [
      {
        number,
        startedAt: lease.at,
        seconds: end === undefined ? undefined : (Date.parse(end.at) - Date.parse(lease.at)) / 1000,
        runner: String(readData(lease.data)["runner"] ?? ""),
        outcome: outcome.replaceAll("_", " "),
        isFailure: end?.kind === "abandoned" || (end?.kind === "ended" && state === "failed"),
      },
    ];
  });
}

/** In so many equal parts, at least one. */
function divide(times: readonly number[], count: number): (readonly number[])[] {
  const parts = Math.max(count, 1);
  const length = Math.ceil(times.length / parts);
  return Array.from({ length: parts }, (_, index) => times.slice(index * length, (index + 1) * length));
}

function describeRunner({ data }: TimelineEvent): string {
  const runner = readData(data)["runner"];
  return typeof runner === "string" ? `by runner ${runner.slice(0, 8)}` : "";
}

function describeSteps(times: readonly number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1] ?? 0;
  const count = times.length === 1 ? "1 step" : `${times.length} steps`;
  return `${count}, ${Math.round(median)} ms each`;
}

function describeStored({ data }: TimelineEvent): string {
  const files = readData(data)["files"];
  return typeof files === "number" ? (files === 1 ? "1 file" : `${files} files`) : "";
}

function describeOther({ kind, data }: TimelineEvent): string {
  const values = readData(data);
  if (kind === "loaded") return values["warm"] === true ? "was loaded already" : "";
  if (kind === "ended") return String(values["state"] ?? "");
  return typeof values["message"] === "string" ? values["message"] : "";
}

function readData(data: unknown): Readonly<Record<string, unknown>> {
  return typeof data === "object" && data !== null ? (data as Record<string, unknown>) : {};
}
