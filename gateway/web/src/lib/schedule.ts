// What a screen of programs says: a program's state as sentences, planned starts by day, planned runs by zone, what has
// no room. Pure: the language, the farm and the clock are arguments.
import { message } from './fluent';
import { farmDay, formatNumber, type Lang } from './format';
import type { PlannedRun, PlannedStart, Program, Reason, Shortage } from './types';
import { day, litres, moment, span, word, type Farm } from './words';

const DAY_MS = 86_400_000;

export type ProgramState = 'invalid' | 'running' | 'off' | 'suspended' | 'skipping' | 'adjusted' | 'ready';

/** Something to know about a program, in words. */
export interface Fact {
  state: ProgramState;
  text: string;
}

/** Whether a moment is told and has not come. */
export const isAhead = (at: number | null, nowMs: number): at is number => at !== null && at > nowMs;

/** Everything that makes a program differ from its calendar, what weighs most first; else that it is switched on. */
export function facts(lang: Lang, farm: Farm, program: Program, nowMs: number): Fact[] {
  const found: Fact[] = [];
  const add = (state: ProgramState, args: Record<string, string | number> = {}): void => {
    found.push({ state, text: message(lang, `program-${state}`, args) });
  };
  const at = (ms: number): string => moment(lang, ms, nowMs, farm.offsetMin);
  if (program.invalid !== null) add('invalid', { problem: word(lang, 'problem', program.invalid) });
  if (isAhead(program.busy_until, nowMs)) add('running', { time: at(program.busy_until) });
  if (!program.enabled) add('off');
  if (isAhead(program.suspended_until, nowMs)) add('suspended', { time: at(program.suspended_until) });
  if (program.skip_next > 0) add('skipping', { n: program.skip_next });
  if (program.adjust_percent !== 100) add('adjusted', { percent: formatNumber(lang, program.adjust_percent) });
  if (found.length === 0) add('ready');
  return found;
}

/** The planned starts of one day of the farm. */
export interface PlannedDay {
  /** The first start, which names the day. */
  at: number;
  starts: PlannedStart[];
}

/** Starts, which come in the order of their moments, by the farm's days. */
export function byDay(starts: PlannedStart[], offsetMin: number): PlannedDay[] {
  const days: PlannedDay[] = [];
  for (const start of starts) {
    const last = days.at(-1);
    if (last && farmDay(last.at, offsetMin) === farmDay(start.at, offsetMin)) last.starts.push(start);
    else days.push({ at: start.at, starts: [start] });
  }
  return days;
}

/** What a start gives one zone. */
export interface ZoneShare {
  zone: string;
  /** When its first run begins. */
  from: number;
  /** All its runs together. */
  runMs: number;
  nRuns: number;
  /** What limits and hours changed, each once. */
  notes: Reason[];
}

/** Planned runs by zone, in the order in which the zones begin. */
export function byZone(runs: PlannedRun[]): ZoneShare[] {
  const shares = new Map<string, ZoneShare>();
  for (const { zone, from, until, notes } of runs) {
    const share = shares.get(zone) ?? { zone, from, runMs: 0, nRuns: 0, notes: [] };
    shares.set(zone, share);
    share.from = Math.min(share.from, from);
    share.runMs += until - from;
    share.nRuns += 1;
    const known = new Set(share.notes.map((note) => JSON.stringify(note)));
    share.notes.push(...notes.filter((note) => !known.has(JSON.stringify(note))));
  }
  return [...shares.values()].sort((a, b) => a.from - b.from);
}

/** What the days ahead have no room for, as sentences: which zone of which program lacks how much on which day. */
export function shortages(lang: Lang, farm: Farm, short: Shortage[], nowMs: number): string[] {
  return short.map((one) => {
    const args = {
      day: day(lang, one.day, nowMs, farm.offsetMin),
      zone: farm.zoneName(one.zone),
      program: farm.programName(one.program),
      span: span(lang, one.run_s * 1000),
    };
    if (one.litres === null) return message(lang, 'preview-short', args);
    return message(lang, 'preview-short-litres', { ...args, litres: litres(lang, one.litres) });
  });
}

/** What a pause is counted in. */
export type PauseUnit = 'days' | 'minutes';
const UNIT_MS: Record<PauseUnit, number> = { days: DAY_MS, minutes: 60_000 };

/** The end of a pause of so many days or minutes that begins at a moment. */
export const pauseEnd = (nowMs: number, n: number, unit: PauseUnit): number => Math.round(nowMs) + n * UNIT_MS[unit];
