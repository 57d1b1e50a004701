// Numbers, dates and spans of time as people in the cooperative write them. Pure: the language, the farm's offset from
// UTC and the clock are arguments, so the browser's own zone and language never leak in. Words come from the catalogue;
// this file knows only digits, marks and month names.

export type Lang = 'vi' | 'en';

/** A space that does not break, between a number and its unit. */
export const NBSP = '\u00a0';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const MONTHS_EN = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const pad2 = (n: number): string => String(n).padStart(2, '0');

/** A decimal number with `decimals` places: 1.234,5 in Vietnamese, 1,234.5 in English; a dash for what is no number. */
export function formatNumber(lang: Lang, value: number, decimals = 0): string {
  if (!Number.isFinite(value)) return '–';
  const [point, group] = lang === 'vi' ? [',', '.'] : ['.', ','];
  const fixed = Math.abs(value).toFixed(decimals);
  const [whole = '0', fraction] = fixed.split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, group);
  const isZero = !/[1-9]/.test(fixed);
  const sign = value < 0 && !isZero ? '−' : '';
  return fraction === undefined ? sign + grouped : `${sign}${grouped}${point}${fraction}`;
}

/** Moisture in per cent of volume, one decimal, with its sign. */
/** What a soil probe says, with its unit. */
export function formatLevel(lang: Lang, value: number, unit: string): string {
  return `${formatNumber(lang, value, 1)}${NBSP}${unit}`;
}

export function formatPercent(lang: Lang, value: number, digits = 1): string {
  return `${formatNumber(lang, value, digits)}${NBSP}%`;
}

interface FarmDate {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
}

/** The calendar fields of a moment on the farm's wall clock. */
export function farmDate(ms: number, offsetMin: number): FarmDate {
  const date = new Date(ms + offsetMin * MINUTE_MS);
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
  };
}

/** Counts farm days since 1970, to compare the days of two moments. */
export function farmDay(ms: number, offsetMin: number): number {
  return Math.floor((ms + offsetMin * MINUTE_MS) / DAY_MS);
}

/** The day of the week of a moment on the farm: 1 is Monday, 7 Sunday. */
export function farmWeekday(ms: number, offsetMin: number): number {
  // Day 0 was a Thursday.
  return ((((farmDay(ms, offsetMin) + 3) % 7) + 7) % 7) + 1;
}

/** Time of day, 24 hours: 06:05. */
export function formatClock(ms: number, offsetMin: number): string {
  const d = farmDate(ms, offsetMin);
  return `${pad2(d.hour)}:${pad2(d.minute)}`;
}

/** Full date: 05/03/2026 in Vietnamese, 5 Mar 2026 in English. */
export function formatDate(lang: Lang, ms: number, offsetMin: number): string {
  const d = farmDate(ms, offsetMin);
  return lang === 'vi'
    ? `${pad2(d.day)}/${pad2(d.month)}/${d.year}`
    : `${d.day}${NBSP}${MONTHS_EN[d.month - 1] ?? ''}${NBSP}${d.year}`;
}

/** Date without the year, for chart axes: 05/03 or 5 Mar. */
export function formatDayMonth(lang: Lang, ms: number, offsetMin: number): string {
  const d = farmDate(ms, offsetMin);
  return lang === 'vi' ? `${pad2(d.day)}/${pad2(d.month)}` : `${d.day}${NBSP}${MONTHS_EN[d.month - 1] ?? ''}`;
}

/** A span cut into whole units. */
export interface Span {
  days: number;
  hours: number;
  minutes: number;
  seconds: number;
}

/** Splits a span of milliseconds; negative spans count as zero. */
export function spanOf(ms: number): Span {
  const total = Math.max(0, Math.round(ms / 1000));
  return {
    days: Math.floor(total / 86_400),
    hours: Math.floor((total % 86_400) / 3600),
    minutes: Math.floor((total % 3600) / 60),
    seconds: total % 60,
  };
}

/** The units of a span that a person reads: at most two, neighbours, none of them zero unless the whole span is. */
export function spanUnits(ms: number): { unit: 'day' | 'h' | 'min' | 's'; n: number }[] {
  const span = spanOf(ms);
  const all = [
    { unit: 'day', n: span.days },
    { unit: 'h', n: span.hours },
    { unit: 'min', n: span.minutes },
    { unit: 's', n: span.seconds },
  ] as const;
  const first = all.findIndex((part) => part.n > 0);
  if (first < 0) return [{ unit: 's', n: 0 }];
  return all.slice(first, first + 2).filter((part) => part.n > 0);
}

/** Midnight is told as a date, any other time as a time. */
export function axisLabel(lang: Lang, ms: number, offsetMin: number): string {
  const clock = formatClock(ms, offsetMin);
  return clock === '00:00' ? formatDayMonth(lang, ms, offsetMin) : clock;
}
