import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diaryQuery, EVERYTHING, isChosen, KINDS, type DiaryChoice } from '../src/lib/diary';
import en from '../../locales/en.ftl?raw';
import type { DiaryEntry } from '../src/lib/types';

const entry: DiaryEntry = {
  id: 7,
  at: 1000,
  zone: 'a',
  event: 'started',
  by: 'engine',
  person: null,
  reason: { code: 'soil_dry', args: {} },
  run_s: null,
  litres: null,
};

test('entries are chosen by zone, kind and day', () => {
  const chosen = (choice: Partial<DiaryChoice>, at: number | null = 1000): boolean =>
    isChosen({ ...EVERYTHING, ...choice }, { ...entry, at }, 5000);
  assert.ok(chosen({}) && chosen({ zone: 'a' }) && chosen({ kind: 'water' }) && chosen({ from: 1000 }) && chosen({ to: 1001 }));
  assert.ok(!chosen({ zone: 'b' }) && !chosen({ kind: 'faults' }) && !chosen({ from: 1001 }) && !chosen({ to: 1000 }));
  assert.ok(chosen({ from: 5000 }, null) && !chosen({ to: 5000 }, null));
});

test('every event belongs to one kind', () => {
  const events = [...en.matchAll(/^event-([a-z-]+) =/gm)].map((found) => found[1]);
  const known: string[] = Object.values(KINDS).flat();
  assert.deepEqual(events.sort(), known.sort());
});

test('a choice becomes a question', () => {
  assert.equal(diaryQuery(EVERYTHING, 50), 'limit=50');
  assert.equal(
    diaryQuery({ zone: 'a', kind: 'missed', from: 1, to: 2 }, 5, 9),
    'limit=5&zone=a&event=skipped%2Crefused&from=1&to=2&before=9',
  );
});
