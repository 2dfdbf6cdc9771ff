import { invalid, type Period, readChoice, readFlag } from "./read-query.ts";

export const TIMEFRAMES = ["minute", "hour", "day", "week", "month"] as const;
export type Timeframe = (typeof TIMEFRAMES)[number];

/** How a span of time is cut into pieces of local time. */
export interface TimeBuckets {
  readonly period: Period;
  readonly timeframe: Timeframe;
  /** Start of the piece that holds this time, as ISO 8601 with the zone's offset. */
  format(at: number): string;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/**
 * `timezone`, `timeframe` and `bound_to_timeframe` of a query (fal model API, "Platform APIs: conventions"). Without
 * a timeframe the length of the period decides; bound periods are widened to whole pieces.
 */
export function readTimeBuckets(query: URLSearchParams, period: Period): TimeBuckets {
  const zone = readZone(query);
  const timeframe = readChoice(query, "timeframe", TIMEFRAMES) ?? chooseTimeframe(period);
  const isBound = readFlag(query, "bound_to_timeframe", true);
  return {
    timeframe,
    period: isBound ? widen(period, timeframe, zone) : period,
    format: (at) => formatLocal(findStart(at, timeframe, zone), zone),
  };
}

function chooseTimeframe({ startAt, endAt }: Period): Timeframe {
  const length = endAt - startAt;
  if (length < 2 * HOUR_MS) return "minute";
  if (length < 2 * DAY_MS) return "hour";
  if (length < 64 * DAY_MS) return "day";
  return length < 183 * DAY_MS ? "week" : "month";
}

/** A zone's offset from UTC at a time, in ms. */
type Zone = (at: number) => number;

function readZone(query: URLSearchParams): Zone {
  const timeZone = query.get("timezone") ?? "UTC";
  try {
    const format = new Intl.DateTimeFormat("en-US", {
      timeZone,
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    return (at) => {
      const parts = new Map(format.formatToParts(at).map(({ type, value }) => [type, Number(value)]));
      const get = (name: Intl.DateTimeFormatPartTypes): number => parts.get(name) ?? 0;
      const local = Date.UTC(
        get("year"),
        get("month") - 1,
        get("day"),
        get("hour"),
        get("minute"),
        get("second"),
      );
      return local - Math.floor(at / 1000) * 1000;
    };
  } catch {
    throw invalid(`"timezone" must be the name of a time zone such as Europe/Berlin, not "${timeZone}".`);
  }
}

function widen({ startAt, endAt }: Period, timeframe: Timeframe, zone: Zone): Period {
  const last = findStart(endAt, timeframe, zone);
  return {
    startAt: findStart(startAt, timeframe, zone),
    endAt: last === endAt ? endAt : findNext(last, timeframe, zone),
  };
}

/** Start of the piece of local time that holds `at`, epoch ms. */
function findStart(at: number, timeframe: Timeframe, zone: Zone): number {
  const offset = zone(at);
  const local = new Date(at + offset);
  local.setUTCSeconds(0, 0);
  // A minute and an hour keep their offset, so that the hour that comes twice in autumn stays two hours.
  if (timeframe === "minute") return local.getTime() - offset;
  local.setUTCMinutes(0);
  if (timeframe === "hour") return local.getTime() - offset;
  local.setUTCHours(0);
  if (timeframe === "week") local.setUTCDate(local.getUTCDate() - ((local.getUTCDay() + 6) % 7));
  if (timeframe === "month") local.setUTCDate(1);
  return toEpoch(local.getTime(), zone);
}

function findNext(start: number, timeframe: Timeframe, zone: Zone): number {
  if (timeframe === "minute") return start + 60_000;
  if (timeframe === "hour") return start + HOUR_MS;
  const local = new Date(start + zone(start));
  if (timeframe === "month") local.setUTCMonth(local.getUTCMonth() + 1);
  else local.setUTCDate(local.getUTCDate() + (timeframe === "week" ? 7 : 1));
  return toEpoch(local.getTime(), zone);
}

/** The time at which clocks of the zone show `local`. */
function toEpoch(local: number, zone: Zone): number {
  const guess = local - zone(local);
  return local - zone(guess);
}

function formatLocal(at: number, zone: Zone): string {
  const offset = zone(at);
  const minutes = Math.round(Math.abs(offset) / 60_000);
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, "0"));
  const text = new Date(at + offset).toISOString().slice(0, 19);
  return offset === 0 ? `${text}Z` : `${text}${offset < 0 ? "-" : "+"}${hours}:${rest}`;
}
