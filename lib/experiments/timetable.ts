/**
 * When each warm-up and each period of a run in shards takes place. All shards compute the same
 * timetable from the same command line, and keep it by their wall clocks.
 *
 * @module
 */

/** What the timetable needs to know about a cell. */
export interface TimedCell {
  readonly cellId: string;
  /** See `SweepCell.warmKey`. */
  readonly warmKey?: string;
}

/** What the timetable depends on. */
export interface TimetablePlan {
  /** Start of the first warm-up, milliseconds since the Unix epoch. */
  readonly startAtWallMs: number;
  readonly warmUpMs: number;
  readonly periodMs: number;
  /** After each period, for the requests in flight. */
  readonly gapMs: number;
  readonly periodsPerCell: number;
}

/** A period in the timetable. Instants are milliseconds since the Unix epoch. */
export interface TimedPeriod {
  /** Where the working set is warmed before each period: when that may begin. */
  readonly warmUpAtWallMs?: number;
  readonly startAtWallMs: number;
  readonly stopAtWallMs: number;
}

/** A cell in the timetable. */
export interface CellTimes {
  /** When the warm-up before the cell may begin; absent if it has none. */
  readonly warmUpAtWallMs?: number;
  readonly periods: readonly TimedPeriod[];
  /** The last period stops. */
  readonly stopAtWallMs: number;
}

/**
 * The timetable of some cells, in their order, by cell.
 *
 * @example
 * ```ts
 * import { timetable } from "./timetable.ts";
 * const times = timetable([{ cellId: "8000_0", warmKey: "8000" }, { cellId: "8000_50", warmKey: "8000" }], {
 *   startAtWallMs: 0,
 *   warmUpMs: 60_000,
 *   periodMs: 30_000,
 *   gapMs: 5_000,
 *   periodsPerCell: 2,
 * });
 * console.log(times.get("8000_50")?.periods[0]?.startAtWallMs); // 130000
 * ```
 */
export function timetable(
  cells: readonly TimedCell[],
  plan: TimetablePlan,
): ReadonlyMap<string, CellTimes> {
  const times = new Map<string, CellTimes>();
  let atMs = plan.startAtWallMs;
  let warm: string | undefined;
  const warmUp = () => {
    const warmUpAtWallMs = atMs;
    atMs += plan.warmUpMs;
    return { warmUpAtWallMs };
  };
  for (const { cellId, warmKey } of cells) {
    const before = warmKey === undefined || warmKey === warm ? {} : warmUp();
    warm = warmKey;
    const periods: TimedPeriod[] = [];
    for (let n = 0; n < plan.periodsPerCell; n++) {
      const each = warmKey === undefined ? warmUp() : {};
      const stopAtWallMs = atMs + plan.periodMs;
      periods.push({ ...each, startAtWallMs: atMs, stopAtWallMs });
      atMs = stopAtWallMs + plan.gapMs;
    }
    times.set(cellId, { ...before, periods, stopAtWallMs: periods.at(-1)?.stopAtWallMs ?? atMs });
  }
  return times;
}

/** When the last period of a timetable stops; its start if it has none. */
export function endOf(times: ReadonlyMap<string, CellTimes>, startAtWallMs: number): number {
  return [...times.values()].reduce((last, one) => Math.max(last, one.stopAtWallMs), startAtWallMs);
}
