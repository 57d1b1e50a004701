// Which lines are told of the history's own health, with what numbers. Pure; the words are in the catalogues.
import type { StoreHealth } from './types';

export interface StoreNote {
  /** Its message in the catalogues. */
  id: string;
  args: Record<string, string>;
  /** Somebody has to do something. */
  isBad: boolean;
}

const MIB = 1_048_576;

/** Lines in the order of their weight; none where all is well. */
export function storeNotes(
  store: StoreHealth | null,
  date: (ms: number) => string,
  number: (value: number, decimals: number) => string,
): StoreNote[] {
  if (store === null) return [];
  const { disk, given_up: gone, mended, looked } = store;
  const notes: StoreNote[] = [];
  const size = (bytes: number): string => number(bytes / MIB, bytes < 10 * MIB ? 1 : 0);
  const note = (id: string, args: Record<string, string>, isBad = false): void => {
    notes.push({ id, args, isBad });
  };
  if (disk.state !== 'ok') note(`store-disk-${disk.state}`, { free: size(disk.free_bytes) }, true);
  if (gone?.over) note('store-over', { used: size(gone.used_bytes), allowed: size(gone.allowed_bytes) }, true);
  if (looked && looked.damaged > 0) {
    note('store-damaged', { date: date(looked.at), n: number(looked.damaged, 0) }, true);
  }
  if (gone && gone.readings_before !== null) {
    note('store-gave-readings', { date: date(gone.at), before: date(gone.readings_before) });
  }
  if (gone && gone.hours_before !== null) {
    note('store-gave-hours', { date: date(gone.at), before: date(gone.hours_before) });
  }
  if (mended) {
    const args = { date: date(mended.at), n: number(mended.lost, 0) };
    if (mended.file === null) note('store-mended', args);
    else note('store-mended-file', { ...args, file: mended.file });
  }
  return notes;
}
