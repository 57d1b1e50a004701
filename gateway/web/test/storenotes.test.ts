// What is told of the history's own health.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storeNotes } from '../src/lib/storenotes';
import type { StoreHealth } from '../src/lib/types';

const WELL: StoreHealth = { disk: { state: 'ok', free_bytes: 9e9 }, given_up: null, mended: null, looked: null };

const notes = (over: Partial<StoreHealth>) =>
  storeNotes({ ...WELL, ...over }, (ms) => `day ${ms}`, (value, decimals) => value.toFixed(decimals));

test('a history that does well says nothing', () => {
  assert.deepEqual(storeNotes(null, String, String), []);
  assert.deepEqual(notes({}), []);
});

test('what needs somebody comes first and says so', () => {
  const given_up = { at: 5, used_bytes: 20 << 20, allowed_bytes: 16 << 20, readings_before: 3, hours_before: 2, over: true };
  const mended = { at: 7, lost: 4, parts: [], file: 'giot-damaged-x.sqlite' };
  const all = notes({ disk: { state: 'full', free_bytes: 512 << 10 }, given_up, mended });
  assert.deepEqual(
    all.map((note) => [note.id, note.isBad]),
    [
      ['store-disk-full', true],
      ['store-over', true],
      ['store-gave-readings', false],
      ['store-gave-hours', false],
      ['store-mended-file', false],
    ],
  );
  assert.deepEqual(all[0]?.args, { free: '0.5' });
  assert.deepEqual(all[1]?.args, { used: '20', allowed: '16' });
  assert.deepEqual(all[2]?.args, { date: 'day 5', before: 'day 3' });
  assert.deepEqual(all[4]?.args, { date: 'day 7', n: '4', file: 'giot-damaged-x.sqlite' });
});

test('a look that found nothing is not told; damage is', () => {
  const looked = { at: 8, readings: 5000, damaged: 0, parts: [] };
  assert.deepEqual(notes({ looked }), []);
  const [told] = notes({ looked: { ...looked, damaged: 2, parts: ['chunk 7 of n01 soil: its checksum does not hold'] } });
  assert.deepEqual(told, { id: 'store-damaged', args: { date: 'day 8', n: '2' }, isBad: true });
});

test('a file that was taken away is not named', () => {
  assert.deepEqual(notes({ mended: { at: 7, lost: 1, parts: [], file: null } })[0]?.id, 'store-mended');
});
