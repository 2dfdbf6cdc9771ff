/**
 * Where requests stand in line, without counting a long line each time. Exact up to {@link EXACT_POSITIONS}, an
 * estimate beyond. Told of every change after its commit; never decides anything.
 */
export interface Positions {
  join(entry: LineEntry): void;
  /** `isLeased`: its turn came; else it was cancelled or its time ran out. */
  leave(entry: LineEntry, isLeased: boolean): void;
  /** Requests before this one, in its app. */
  getPosition(entry: LineEntry): Promise<number>;
  /** False only when certainly nothing waits for the endpoint. */
  mayHaveWaiting(endpointId: string): boolean;
  /** Requests that wait, per endpoint. */
  countWaiting(): Promise<ReadonlyMap<string, number>>;
}

/** A queued request's place: order is priority, then rank, then id. */
export interface LineEntry {
  readonly id: string;
  readonly app: string;
  readonly endpointId: string;
  /** 0 normal, 1 low. */
  readonly priority: number;
  readonly fairRank: number;
}

export const EXACT_POSITIONS = 1_000;

/** Negative when `a` comes first. */
export function compareEntries(
  a: Pick<LineEntry, "priority" | "fairRank" | "id">,
  b: Pick<LineEntry, "priority" | "fairRank" | "id">,
): number {
  return a.priority - b.priority || a.fairRank - b.fairRank || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

/** The line of one app and priority in numbers. */
export interface LineShape {
  readonly count: number;
  /** Rank of the request leased last. */
  readonly virtualTime: number;
  /** Highest rank in line. */
  readonly lastRank: number;
}

/**
 * Position beyond the exact ones: ranks are taken as evenly filled between the line's head and its end. Grows with
 * the rank and, but for arrivals before it, never grows with time.
 */
export function estimatePosition(entry: LineEntry, shapes: readonly [LineShape, LineShape]): number {
  const shape = entry.priority === 0 ? shapes[0] : shapes[1];
  const before = entry.priority === 0 ? 0 : shapes[0].count;
  const length = Math.max(1, shape.lastRank - shape.virtualTime);
  const share = Math.min(1, Math.max(0, (entry.fairRank - shape.virtualTime - 1) / length));
  return Math.max(EXACT_POSITIONS, before + Math.floor(share * shape.count));
}
