// Turns a zone's history into what the chart, its summary and its table show. Pure: no drawing, no words.
import type { History, HistoryPoint, HistorySeries, Run } from './types';

/** Columns of the chart: times in seconds, then mean, smallest and largest of each series. */
export interface Columns {
  times: number[];
  series: { mean: Cell[]; min: Cell[]; max: Cell[] }[];
  /** Whether points are summaries whose spread is worth a band. */
  spread: boolean;
}

/** A value; `null` breaks the line, `undefined` only means that another series has a point here. */
export type Cell = number | null | undefined;

/** A hole in a series is one that is this many times longer than its usual step. */
const GAP_STEPS = 4;
/** The gap that a line may bridge in any case: a node's normal step is ten minutes. */
const GAP_MS_MIN = 45 * 60_000;

function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/** The holes of a series, from the last point before to the first after: no line is drawn across what was not measured. */
export function gaps(points: HistoryPoint[]): [from: number, to: number][] {
  const steps = points.slice(1).map((point, i) => point[0] - (points[i]?.[0] ?? point[0]));
  const longest = Math.max(GAP_MS_MIN, median(steps) * GAP_STEPS);
  return steps.flatMap((step, i) => {
    const before = points[i];
    return step > longest && before ? [[before[0], before[0] + step]] : [];
  });
}

const middle = ([from, to]: [number, number]): number => from + Math.floor((to - from) / 2);

/** All series on one line of times. */
export function columns(series: HistorySeries[]): Columns {
  const times = new Set<number>();
  const holes = series.map((one) => gaps(one.points));
  for (const one of series) for (const point of one.points) times.add(point[0]);
  for (const hole of holes.flat()) times.add(middle(hole));
  const sorted = [...times].sort((a, b) => a - b);
  const place = new Map(sorted.map((ms, i) => [ms, i]));
  let spread = false;
  const built = series.map((one, s) => {
    const blank = (): Cell[] => new Array<Cell>(sorted.length).fill(undefined);
    const out = { mean: blank(), min: blank(), max: blank() };
    const put = (ms: number, mean: Cell, min: Cell, max: Cell): void => {
      const i = place.get(ms);
      if (i === undefined) return;
      out.mean[i] = mean;
      out.min[i] = min;
      out.max[i] = max;
    };
    for (const hole of holes[s] ?? []) {
      // Other series may have points inside the hole: every one of those moments is a hole for this one.
      const end = place.get(hole[1]) ?? 0;
      for (let i = (place.get(hole[0]) ?? end) + 1; i < end; i += 1) put(sorted[i] ?? 0, null, null, null);
    }
    for (const [ms, min, max, mean] of one.points) {
      if (max - min > 0.2) spread = true;
      put(ms, mean, min, max);
    }
    return out;
  });
  return { times: sorted.map((ms) => ms / 1000), series: built, spread };
}

/** The vertical range: everything drawn and both thresholds, with air above and below. */
export function range(history: History): [number, number] {
  let low = Math.min(history.soil.start, history.soil.stop);
  let high = Math.max(history.soil.start, history.soil.stop);
  for (const one of history.series) {
    for (const [, min, max] of one.points) {
      low = Math.min(low, min);
      high = Math.max(high, max);
    }
  }
  const air = Math.max((high - low) * 0.08, 1);
  return [Math.max(0, Math.floor(low - air)), Math.min(history.soil.unit === '%' ? 100 : Infinity, Math.ceil(high + air))];
}

const STEPS_H = [1, 2, 3, 6, 12, 24, 48, 120, 168, 336];

/** Times (seconds) of the horizontal axis: round hours or midnights of the farm's clock, at most `most` of them. */
export function ticks(fromS: number, toS: number, offsetMin: number, most: number): { at: number[]; daily: boolean } {
  const hours = Math.max(1 / 60, (toS - fromS) / 3600);
  const step = (STEPS_H.find((h) => hours / h <= most) ?? Math.ceil(hours / most / 24) * 24) * 3600;
  const shift = offsetMin * 60;
  const at: number[] = [];
  for (let t = Math.ceil((fromS + shift) / step) * step - shift; t <= toS; t += step) at.push(t);
  return { at, daily: step >= 86_400 };
}

/** The numbers behind the sentence under the chart. */
export interface Summary {
  low: number | null;
  high: number | null;
  last: number | null;
  runs: number;
  runMs: number;
  litres: number | null;
}

/** Extremes and the newest value of all series, and the runs inside the span; a run that still goes on counts until `to`. */
export function summary(history: History): Summary {
  let low: number | null = null;
  let high: number | null = null;
  const last: number[] = [];
  for (const one of history.series) {
    for (const [, min, max] of one.points) {
      low = low === null ? min : Math.min(low, min);
      high = high === null ? max : Math.max(high, max);
    }
    const end = one.points.at(-1);
    if (end) last.push(end[3]);
  }
  const runs = history.runs.filter((run) => run.from < history.to && (run.to ?? history.to) > history.from);
  const runMs = runs.reduce((sum, run) => sum + clipped(run, history), 0);
  const known = runs.flatMap((run) => (run.litres === null ? [] : [run.litres]));
  return {
    low,
    high,
    last: last.length === 0 ? null : median(last),
    runs: runs.length,
    runMs,
    litres: known.length === 0 ? null : known.reduce((sum, n) => sum + n, 0),
  };
}

function clipped(run: Run, history: History): number {
  return Math.max(0, Math.min(run.to ?? history.to, history.to) - Math.max(run.from, history.from));
}

/** Rows of the table that stands in for the chart: at most `most` moments with the value of each series nearest before. */
export function tableRows(history: History, most: number): { at: number; values: (number | null)[] }[] {
  const span = history.to - history.from;
  if (span <= 0 || history.series.every((one) => one.points.length === 0)) return [];
  const step = Math.max(span / most, 60_000);
  const rows: { at: number; values: (number | null)[] }[] = [];
  for (let end = history.to; end > history.from && rows.length < most; end -= step) {
    const values = history.series.map((one) => {
      const inside = one.points.filter(([ms]) => ms > end - step && ms <= end);
      return inside.at(-1)?.[3] ?? null;
    });
    if (values.some((value) => value !== null)) rows.push({ at: end, values });
  }
  return rows;
}

/** The value of a series at a point; where other series have points of their own, its last one at most `lookBack` points before. */
export function nearest(values: ArrayLike<number | null | undefined> | undefined, at: number, lookBack: number): number | null {
  if (!values) return null;
  for (let i = at; i >= Math.max(0, at - lookBack); i -= 1) {
    const value = values[i];
    if (value === null) return null;
    if (value !== undefined) return value;
  }
  return null;
}
