// Sentences and quantities in one language: joins format.ts (digits) and fluent.ts (words), and turns a Reason of the
// engine into a sentence. Pure; i18n.svelte.ts adds which language is chosen.
import { has, lookup, message, type Args } from './fluent';
import {
  farmDay,
  farmWeekday,
  formatClock,
  formatDate,
  formatDayMonth,
  formatNumber,
  formatPercent,
  spanUnits,
  type Lang,
} from './format';
import type { DiaryEntry, Reason } from './types';

/** What a sentence needs to know about the farm: its clock's offset and the names behind ids. */
export interface Farm {
  offsetMin: number;
  zoneName: (id: string) => string;
  nodeName: (id: string) => string;
  sourceName: (id: string) => string;
  programName: (id: string) => string;
}

/** A span in words, at most two units: "2 giờ 5 phút". */
export function span(lang: Lang, ms: number): string {
  return spanUnits(ms)
    .map(({ unit, n }) => message(lang, `unit-${unit}`, { n: formatNumber(lang, n) }))
    .join(' ');
}

/** How long ago something was, one unit only, for labels that change while they are read. */
export function ago(lang: Lang, ageMs: number): string {
  if (ageMs < 60_000) return message(lang, 'ago-now');
  const unit = spanUnits(ageMs)[0];
  if (!unit) return message(lang, 'ago-now');
  return message(lang, 'ago', { span: message(lang, `unit-${unit.unit}`, { n: formatNumber(lang, unit.n) }) });
}

/** A volume in litres; below ten with one decimal. */
export function litres(lang: Lang, value: number): string {
  return message(lang, 'unit-litre', { n: formatNumber(lang, value, value < 10 ? 1 : 0) });
}

/** The moment as short as the reader allows: the time today, "yesterday" or "tomorrow" and the time, else the date and the time. */
export function moment(lang: Lang, ms: number, nowMs: number, offsetMin: number): string {
  const time = formatClock(ms, offsetMin);
  const days = farmDay(nowMs, offsetMin) - farmDay(ms, offsetMin);
  if (days === 0) return time;
  if (days === 1) return message(lang, 'moment-yesterday', { time });
  if (days === -1) return message(lang, 'moment-tomorrow', { time });
  const sameYear = formatDate(lang, ms, offsetMin).slice(-4) === formatDate(lang, nowMs, offsetMin).slice(-4);
  const date = sameYear ? formatDayMonth(lang, ms, offsetMin) : formatDate(lang, ms, offsetMin);
  return message(lang, 'moment-date', { date, time });
}

/** The farm's day of a moment with its weekday, and whether that is today or tomorrow. */
export function day(lang: Lang, ms: number, nowMs: number, offsetMin: number): string {
  const weekday = message(lang, `weekday-${farmWeekday(ms, offsetMin)}`);
  const date = message(lang, 'day', { weekday, date: formatDayMonth(lang, ms, offsetMin) });
  const apart = farmDay(ms, offsetMin) - farmDay(nowMs, offsetMin);
  if (apart === 0) return message(lang, 'day-today', { date });
  return apart === 1 ? message(lang, 'day-tomorrow', { date }) : date;
}

/** Arguments in per cent: moisture of the soil's volume, or shares of its available water. */
const PERCENT = new Set([
  'depleted',
  'start_depleted',
  'stop_depleted',
  'moisture', 'start_below', 'stop_above', 'min', 'max', 'from', 'to', 'rate_max',
  'other_moisture', 'apart_max']);

/** Arguments that are shown with all the decimals that they have: a limit of 2.5 is not 3. */
const EXACT = new Set(['level', 'least', 'resume', 'rain_mm', 'limit_mm', 'temperature_c', 'below_c', 'clear_c']);

/** One argument of a reason as text with its unit; the name tells the unit, as in the engine. */
export function argument(lang: Lang, farm: Farm, name: string, value: number | string): string {
  if (typeof value === 'string') {
    if (name === 'zone') return farm.zoneName(value);
    if (name === 'source') return farm.sourceName(value);
    if (name === 'program') return farm.programName(value);
    if (name === 'rule' || name === 'values' || name === 'note' || name.endsWith('probe')) return value;
    if (name === 'node' || name === 'device') return farm.nodeName(value);
    if (name === 'metric') return metric(lang, value);
    if (name === 'by') return person(lang, value);
    // Right behind its number, or nothing.
    if (name === 'unit') return value && `\u00a0${value}`;
    const id = `${name.replaceAll('_', '-')}-${value.replaceAll('_', '-')}`;
    return has(lang, id) ? message(lang, id) : value;
  }
  if (name.endsWith('_s')) return span(lang, value * 1000);
  if (name.endsWith('_ms')) return span(lang, value);
  if (name.endsWith('_min')) return minuteOfDay(value);
  if (name.endsWith('_at')) return `${formatClock(value, farm.offsetMin)} ${formatDate(lang, value, farm.offsetMin)}`;
  // Nobody waters by hand with none: the person did not say how much.
  if (name === 'litres' && value <= 0) return message(lang, 'litres-unknown');
  if (name === 'litres' || name === 'volume') return litres(lang, value);
  // As many decimals as it has, up to two: 24.09 below a threshold of 24.1 must not read as equal.
  if (PERCENT.has(name)) return formatPercent(lang, value, Math.round(value * 100) % 10 === 0 ? 1 : 2);
  if (EXACT.has(name)) {
    const thousandths = Math.round(value * 1000);
    const decimals = [1000, 100, 10].findIndex((parts) => thousandths % parts === 0);
    return formatNumber(lang, value, decimals < 0 ? 3 : decimals);
  }
  return formatNumber(lang, value, Number.isInteger(value) ? 0 : 1);
}

/** A metric in words; the second probe of a kind on one node is called `soil_moisture_1`. */
export function metric(lang: Lang, name: string): string {
  const [, base = name, probe] = /^(.*?)(?:_(\d+))?$/.exec(name) ?? [];
  const known = word(lang, 'metric', base);
  return known === base ? name : [known, probe].filter(Boolean).join(' ');
}

/** Who acted: a name, or the word for an account that is no person's. */
export function person(lang: Lang, name: string): string {
  return word(lang, 'person', name);
}

/** Who or what a diary entry comes from. */
export function actor(lang: Lang, farm: Farm, entry: Pick<DiaryEntry, 'by' | 'person'>): string {
  const { by, person: who } = entry;
  if (by === 'program') return message(lang, 'by-program', { name: farm.programName(who ?? '') });
  if (by === 'rule') return message(lang, 'by-rule', { name: who ?? '' });
  if (by !== 'person') return message(lang, `by-${by}`);
  return message(lang, 'by-person', { name: who === null ? message(lang, 'somebody') : person(lang, who) });
}

/** Minutes after midnight as a time of day. */
function minuteOfDay(minutes: number): string {
  return formatClock((((minutes % 1440) + 1440) % 1440) * 60_000, 0);
}

/** The catalogue id of a reason code. */
export function reasonId(code: string): string {
  return `reason-${code.replaceAll('_', '-')}`;
}

/** A reason as a sentence, or nothing when the catalogue does not know it or an argument is missing. */
export function reasonOrNull(lang: Lang, farm: Farm, reason: Reason): string | null {
  const args: Args = {};
  for (const [name, value] of Object.entries(reason.args ?? {})) args[name] = argument(lang, farm, name, value);
  return lookup(lang, reasonId(reason.code), args);
}

/** Why a wish was refused: in full where its numbers came along, else in short, else nothing. */
export function refusal(lang: Lang, farm: Farm, reason: Reason): string | null {
  return reasonOrNull(lang, farm, reason) ?? lookup(lang, `short-${reason.code.replaceAll('_', '-')}`);
}

/** A reason as a sentence; an unknown code shows itself with its numbers rather than nothing. */
export function reason(lang: Lang, farm: Farm, why: Reason): string {
  const known = reasonOrNull(lang, farm, why);
  if (known !== null) return known;
  const args = Object.entries(why.args ?? {}).map(([name, value]) => `${name} ${argument(lang, farm, name, value)}`);
  return [why.code.replaceAll('_', ' '), ...args].join(', ');
}

/** A word of an open set (crop, quality, event): its message, or the word itself. */
export function word(lang: Lang, kind: string, value: string): string {
  const id = `${kind}-${value.replaceAll('_', '-')}`;
  return has(lang, id) ? message(lang, id) : value;
}
