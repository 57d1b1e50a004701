// What the history screen asks for and makes of the answers: choices, address of a download, columns for the chart, numbers for the table.
// Pure: no drawing, no words, no clock.
import { farmDate } from './format';
import type { ChartAnswer, KnownSeries, SpansAnswer } from './types';

/** Series side by side: more lines cannot be told apart. */
export const SERIES_MAX = 8;

/** Units of one chart: one axis at the left, one at the right. */
export const UNITS_MAX = 2;

export const BUCKETS = ['auto', '15min', '1h', '1d', '1w', '1month'] as const;
export type Bucket = (typeof BUCKETS)[number];

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

export const seriesKey = (series: Pick<KnownSeries, 'device' | 'metric'>): string => `${series.device}/${series.metric}`;

/** The clock of a place at a moment: minutes east of UTC. `fallback` where this browser does not know the place. */
export function offsetAt(zone: string, ms: number, fallback: number): number {
  const fixed = /^([+-])(\d\d):(\d\d)$/.exec(zone);
  if (fixed) return (fixed[1] === '-' ? -1 : 1) * (Number(fixed[2]) * 60 + Number(fixed[3]));
  if (zone === 'UTC') return 0;
  try {
    const parts = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
    }).formatToParts(ms);
    const field = (type: string): number => Number(parts.find((part) => part.type === type)?.value);
    const wall = Date.UTC(field('year'), field('month') - 1, field('day'), field('hour'), field('minute'));
    const offset = Math.round((wall - Math.floor(ms / MINUTE_MS) * MINUTE_MS) / MINUTE_MS);
    return Number.isFinite(offset) ? offset : fallback;
  } catch {
    return fallback;
  }
}

/** A date as an input of the browser holds it: 2026-03-05. */
export function dateText(ms: number, offsetMin: number): string {
  const { year, month, day } = farmDate(ms, offsetMin);
  return `${year}-${String(month).padStart(2, '0')}-${String(day).padStart(2, '0')}`;
}

/** The farm's midnight at which a written date begins, some days later on request; null for what is no date. */
export function dateStart(text: string, days: number, offset: (ms: number) => number): number | null {
  const parts = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text);
  if (!parts) return null;
  const utc = Date.UTC(Number(parts[1]), Number(parts[2]) - 1, Number(parts[3])) + days * DAY_MS;
  if (!Number.isFinite(utc)) return null;
  // The clock near the wanted midnight says how far that is from UTC.
  return utc - offset(utc - offset(utc) * MINUTE_MS) * MINUTE_MS;
}

/** A question to the history. */
export interface Question {
  series: string[];
  from: number;
  to: number;
  bucket: Bucket;
}

function parameters(question: Question): Record<string, string> {
  return { series: question.series.join(','), from: String(question.from), to: String(question.to) };
}

/** Path and query below the API's base. */
export function chartPath(question: Question, points: number): string {
  return `/history/chart?${new URLSearchParams({ ...parameters(question), points: String(points) })}`;
}

export function spansPath(question: Question): string {
  return `/history/spans?${new URLSearchParams({ ...parameters(question), bucket: question.bucket })}`;
}

export function exportPath(question: Question, format: string): string {
  const bucket: Record<string, string> = question.bucket === 'auto' ? {} : { bucket: question.bucket };
  return `/history/export?${new URLSearchParams({ ...parameters(question), ...bucket, format })}`;
}

/** A value; `null` breaks the line, `undefined` only means that another series has a point here. */
export type Cell = number | null | undefined;

/** A line of the chart and what the table says about it. */
export interface Line {
  device: string;
  metric: string;
  unit: string;
  value: Cell[];
  /** Smallest and largest of each span; empty when the points are readings. */
  min: Cell[];
  max: Cell[];
  low: number | null;
  high: number | null;
  last: number | null;
  n: number;
  flagged: number;
}

export interface Drawing {
  /** Seconds. */
  times: number[];
  lines: Line[];
  /** Lines are means of spans with a band around them. */
  spans: boolean;
  thinned: boolean;
  damaged: number;
}

/** Readings of several series on one line of times. */
export function drawReadings(answer: ChartAnswer): Drawing {
  const times = [...new Set(answer.series.flatMap((one) => one.points.map(([at]) => at)))].sort((a, b) => a - b);
  const place = new Map(times.map((ms, i) => [ms, i]));
  const lines = answer.series.map((one): Line => {
    const value = new Array<Cell>(times.length).fill(undefined);
    let low: number | null = null;
    let high: number | null = null;
    let last: number | null = null;
    for (const [at, v] of one.points) {
      const i = place.get(at);
      if (i !== undefined) value[i] = v;
      if (v === null) continue;
      low = low === null ? v : Math.min(low, v);
      high = high === null ? v : Math.max(high, v);
      last = v;
    }
    breakOthersPoints(value);
    const { device, metric, unit, n, n_flagged: flagged } = one;
    return { device, metric, unit, value, min: [], max: [], low, high, last, n, flagged };
  });
  return {
    times: times.map((ms) => ms / 1000),
    lines,
    spans: false,
    thinned: answer.series.some((one) => one.thinned),
    damaged: answer.series.reduce((sum, one) => sum + one.n_damaged, 0),
  };
}

/** Moments of other series inside a hole are part of the hole. */
function breakOthersPoints(value: Cell[]): void {
  let broken = false;
  const mark = (i: number): void => {
    if (value[i] === null) broken = true;
    else if (value[i] !== undefined) broken = false;
    else if (broken) value[i] = null;
  };
  for (let i = 0; i < value.length; i += 1) mark(i);
  broken = false;
  for (let i = value.length - 1; i >= 0; i -= 1) mark(i);
}

/** Spans of several series; each point stands in the middle of its span. */
export function drawSpans(answer: SpansAnswer): Drawing {
  const starts = answer.rows.map(([at]) => at);
  const times = starts.map((at, i) => (at + (starts[i + 1] ?? answer.end)) / 2000);
  const lines = answer.series.map((one, s): Line => {
    const cells = answer.rows.map((row) => row[1][s] ?? null);
    const known = cells.filter((cell) => cell !== null);
    const extreme = (of: (...values: number[]) => number, values: number[]): number | null =>
      values.length === 0 ? null : values.reduce((a, b) => of(a, b));
    return {
      ...one,
      value: cells.map((cell) => cell?.[0] ?? null),
      min: cells.map((cell) => cell?.[1] ?? null),
      max: cells.map((cell) => cell?.[2] ?? null),
      low: extreme(Math.min, known.map((cell) => cell[1])),
      high: extreme(Math.max, known.map((cell) => cell[2])),
      last: known.at(-1)?.[3] ?? null,
      n: known.reduce((sum, cell) => sum + cell[4], 0),
      flagged: known.reduce((sum, cell) => sum + cell[5], 0),
    };
  });
  return { times, lines, spans: true, thinned: false, damaged: answer.n_damaged };
}

/** The vertical range of all lines of one unit, with air above and below; null without a value. */
export function rangeOf(lines: Line[], unit: string): [number, number] | null {
  const mine = lines.filter((line) => line.unit === unit);
  const lows = mine.flatMap((line) => (line.low === null ? [] : [line.low]));
  const highs = mine.flatMap((line) => (line.high === null ? [] : [line.high]));
  if (lows.length === 0) return null;
  const [low, high] = [Math.min(...lows), Math.max(...highs)];
  const air = Math.max((high - low) * 0.06, Math.abs(high) * 0.005, 0.01);
  return [low - air, high + air];
}

/** As many decimals as a value needs to be told apart, at most three. */
export function decimalsOf(value: number): number {
  for (const n of [0, 1, 2]) if (Math.abs(value * 10 ** n - Math.round(value * 10 ** n)) < 1e-6) return n;
  return Math.abs(value) >= 100 ? 1 : 2;
}
