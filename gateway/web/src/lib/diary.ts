// Which entries of the diary somebody wants to see. Pure: the days' bounds are arguments.
import type { DiaryEntry } from './types';

/** What people look for, and the events that belong to it. */
export const KINDS = {
  water: ['started', 'confirmed', 'stopping', 'stopped', 'reported'],
  missed: ['skipped', 'refused'],
  faults: ['fault', 'cleared'],
  nodes: ['node'],
  changes: ['scheduled', 'adjusted', 'locked', 'unlocked', 'notified'],
} as const satisfies Record<string, readonly string[]>;

export type DiaryKind = keyof typeof KINDS;
export const KIND_NAMES = Object.keys(KINDS) as DiaryKind[];

/** A choice of entries; null chooses all. */
export interface DiaryChoice {
  zone: string | null;
  kind: DiaryKind | null;
  /** From this moment on. */
  from: number | null;
  /** Before this moment. */
  to: number | null;
}

/** Everything, newest first. */
export const EVERYTHING: DiaryChoice = { zone: null, kind: null, from: null, to: null };

/** Whether an entry that has just arrived is one of those; one without a date is of now. */
export function isChosen({ zone, kind, from, to }: DiaryChoice, entry: DiaryEntry, nowMs: number): boolean {
  const at = entry.at ?? nowMs;
  return (
    (zone === null || entry.zone === zone) &&
    (kind === null || (KINDS[kind] as readonly string[]).includes(entry.event)) &&
    (from === null || at >= from) &&
    (to === null || at < to)
  );
}

/** The choice as the API's question. */
export function diaryQuery({ zone, kind, from, to }: DiaryChoice, limit: number, before?: DiaryEntry['id']): string {
  const query = new URLSearchParams({ limit: String(limit) });
  if (zone !== null) query.set('zone', zone);
  if (kind !== null) query.set('event', KINDS[kind].join(','));
  if (from !== null) query.set('from', String(from));
  if (to !== null) query.set('to', String(to));
  if (before !== undefined) query.set('before', String(before));
  return query.toString();
}
