// What the chart, its sentence and its table are made of, and the moisture bar.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { columns, gaps, range, summary, tableRows, ticks } from '../src/lib/chartdata';
import { gauge } from '../src/lib/gauge';
import type { History, HistoryPoint } from '../src/lib/types';

const MIN = 60_000;
const HOUR = 60 * MIN;

const flat = (ms: number, value: number): HistoryPoint => [ms, value, value, value];

function history(over: Partial<History> = {}): History {
  return { from: 0, to: 24 * HOUR, soil: { value: null, unit: '%', start: 22, stop: 30, depletion: null }, series: [], runs: [], ...over };
}

const probe = (device: string, points: HistoryPoint[]): History['series'][number] => ({
  device,
  metric: 'soil_moisture',
  depth_cm: 20,
  points,
});

test('a hole is where nothing was measured for long, not where another probe measured', () => {
  const every10 = [0, 10, 20, 30, 120, 130].map((m) => flat(m * MIN, 25));
  assert.deepEqual(gaps(every10), [[30 * MIN, 120 * MIN]]);
  assert.deepEqual(gaps([]), []);
  assert.deepEqual(gaps([flat(0, 25), flat(40 * MIN, 25)]), []);
});

test('series share one line of times; null breaks a line, undefined does not', () => {
  const table = columns([probe('a', [flat(0, 20), flat(20 * MIN, 21)]), probe('b', [flat(10 * MIN, 30)])]);
  assert.deepEqual(table.times, [0, 600, 1200]);
  assert.deepEqual(table.series[0]?.mean, [20, undefined, 21]);
  assert.deepEqual(table.series[1]?.mean, [undefined, 30, undefined]);
  assert.equal(table.spread, false);
  const holed = columns([probe('a', [0, 10, 20, 200].map((m) => flat(m * MIN, m)))]);
  assert.deepEqual(holed.series[0]?.mean, [0, 10, 20, null, 200]);
  const both = columns([
    probe('a', [0, 10, 20, 200].map((m) => flat(m * MIN, m))),
    probe('b', [0, 60, 120, 180].map((m) => flat(m * MIN, m))),
  ]);
  assert.deepEqual(both.times.map((s) => s / 60), [0, 10, 20, 60, 110, 120, 180, 200]);
  assert.deepEqual(both.series[0]?.mean, [0, 10, 20, null, null, null, null, 200]);
  assert.deepEqual(both.series[1]?.mean, [0, undefined, undefined, 60, undefined, 120, 180, undefined]);
});

test('the range holds both thresholds and every value', () => {
  assert.deepEqual(range(history()), [21, 31]);
  const [low, high] = range(history({ series: [probe('a', [[0, 3, 64, 20]])] }));
  assert.ok(low <= 3 && high >= 64 && low >= 0 && high <= 100);
});

test('ticks stand on round times of the farm', () => {
  const from = Date.UTC(2026, 1, 13, 3, 20) / 1000;
  const day = ticks(from, from + 86_400, 420, 6);
  assert.ok(day.at.length >= 4 && day.at.length <= 6);
  for (const t of day.at) assert.equal((t + 420 * 60) % (6 * 3600), 0);
  const month = ticks(from, from + 30 * 86_400, 420, 8);
  assert.equal(month.daily, true);
  for (const t of month.at) assert.equal((t + 420 * 60) % 86_400, 0);
  assert.ok(ticks(from, from, 420, 5).at.length <= 1);
});

test('the summary counts runs inside the span and clips them', () => {
  const facts = summary(
    history({
      series: [probe('a', [flat(HOUR, 20), flat(2 * HOUR, 31)]), probe('b', [flat(HOUR, 24)])],
      runs: [
        { from: -HOUR, to: HOUR, litres: 10, manual: false, reason: null },
        { from: 23 * HOUR, to: null, litres: null, manual: true, reason: null },
        { from: 25 * HOUR, to: 26 * HOUR, litres: 99, manual: false, reason: null },
      ],
    }),
  );
  assert.deepEqual(facts, { low: 20, high: 31, last: 31, runs: 2, runMs: 2 * HOUR, litres: 10 });
  assert.deepEqual(summary(history()), { low: null, high: null, last: null, runs: 0, runMs: 0, litres: null });
});

test('the table has newest rows first and leaves out empty ones', () => {
  const rows = tableRows(history({ series: [probe('a', [flat(HOUR, 20), flat(23.5 * HOUR, 25)])] }), 24);
  assert.deepEqual(
    rows.map((row) => [row.at / HOUR, row.values]),
    [
      [24, [25]],
      [1, [20]],
    ],
  );
  assert.deepEqual(tableRows(history(), 24), []);
});

test('the bar keeps every value on it', () => {
  const g = gauge(26, 22, 30);
  assert.ok(Math.abs((g.value ?? 0) - 50) < 1e-9 && g.start < 50 && g.stop > 50);
  for (const value of [-5, 0, 3, 99, 120]) {
    const place = gauge(value, 22, 30).value ?? -1;
    assert.ok(place >= 0 && place <= 100);
  }
  const tense = gauge(60, 40, 15);
  assert.ok((tense.value ?? 100) < tense.start && tense.start < tense.stop, 'a high tension is dry, and dry is left');
  assert.equal(gauge(null, 22, 30).value, null);
  assert.ok(gauge(50, 0, 100).high > gauge(50, 0, 100).low);
});
