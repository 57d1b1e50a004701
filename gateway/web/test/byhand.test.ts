// What people ask for by hand, before the gateway judges it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { extensionMost, isBarred, isWhole, minutesMost, minutesUsual, onceRuns, testMs } from '../src/lib/byhand';
import type { ZoneState } from '../src/lib/types';

const MIN = 60_000;
const NOW = Date.UTC(2026, 1, 14, 3, 0);

test('only whole numbers within bounds are taken', () => {
  assert.deepEqual([null, NaN, 0, 1, 1.5, 1440, 1441].map((n) => isWhole(n, 1, 1440)), [false, false, false, true, false, true, false]);
});

test('a run of a zone is counted in whole minutes, at least one', () => {
  assert.deepEqual([0.5, 1, 59.9, 120].map((run_minutes_max) => minutesMost({ run_minutes_max })), [1, 1, 59, 120]);
});

test('a run is made longer by what its zone allows beside what it was planned for', () => {
  const left = (minutes: number, over: { state?: ZoneState; until?: number | null } = {}): number | null =>
    extensionMost({ run_minutes_max: 60, state: 'open', since: NOW, until: NOW + minutes * MIN, ...over });
  assert.deepEqual([10, 60, 75].map((minutes) => left(minutes)), [50, 0, 0]);
  // Some seconds of a command on its way take no minute away.
  assert.equal(left(10.05), 50);
  assert.equal(left(0), 60);
  assert.deepEqual([left(10, { state: 'sent' }), left(10, { state: 'closing' }), left(10, { until: null })], [null, null, null]);
});

test('a set is started only when each chosen zone has minutes that it may have', () => {
  const zones = [
    { id: 'a', run_minutes_max: 60 },
    { id: 'b', run_minutes_max: 5.5 },
  ];
  assert.deepEqual(onceRuns(zones, { b: 5, a: 20, gone: 3 }), [
    { zone: 'a', minutes: 20 },
    { zone: 'b', minutes: 5 },
  ]);
  assert.deepEqual(zones.map(minutesUsual), [10, 5]);
  for (const minutes of [{ a: 20 }, { a: 20, b: null }, { a: 20, b: 6 }, { a: 0, b: 1 }, { a: 1.5, b: 1 }])
    assert.equal(onceRuns(zones, minutes), null, JSON.stringify(minutes));
  assert.equal(onceRuns([], {}), null);
});

test('a locked or faulty zone cannot be chosen, a resting or waiting one can', () => {
  const states: ZoneState[] = ['idle', 'waiting', 'open', 'unknown', 'fault', 'locked'];
  assert.deepEqual(states.map((state) => isBarred({ state })), [false, false, false, false, true, true]);
});

test('a test of valves takes the gaps between them as well', () => {
  assert.deepEqual([0, 1, 3].map((n) => testMs(n, 60)), [0, 60_000, 360_000]);
});
