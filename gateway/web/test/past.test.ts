// The history screen's questions, times and columns.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dateStart, dateText, decimalsOf, drawReadings, drawSpans, exportPath, offsetAt, rangeOf, spansPath } from '../src/lib/past';

const series = (name: string, points: [number, number | null][]) => ({
  device: name,
  metric: 'x',
  unit: '%',
  points: points.map(([at, value]): [number, number | null, null] => [at, value, null]),
  n: points.filter(([, value]) => value !== null).length,
  n_flagged: 0,
  thinned: false,
  n_damaged: 0,
});

test('a hole of one series stays a hole where another has points', () => {
  const drawing = drawReadings({
    series: [
      series('a', [[0, 1], [1000, 2], [4000, null], [7000, 5]]),
      series('b', [[0, 7], [2000, 8], [5000, 9], [8000, 7]]),
    ],
  });
  assert.deepEqual(drawing.times, [0, 1, 2, 4, 5, 7, 8]);
  assert.deepEqual(drawing.lines[0]?.value, [1, 2, null, null, null, 5, undefined]);
  assert.deepEqual(drawing.lines[1]?.value, [7, undefined, 8, undefined, 9, undefined, 7]);
  assert.deepEqual([drawing.lines[0]?.low, drawing.lines[0]?.high, drawing.lines[0]?.last], [1, 5, 5]);
});

test('spans stand in their middle and an empty one breaks the line', () => {
  const drawing = drawSpans({
    time_zone: 'UTC',
    bucket: '1h',
    series: [{ device: 'a', metric: 'x', unit: '' }],
    rows: [
      [0, [[2, 1, 3, 2.5, 10, 1, null]]],
      [3_600_000, [null]],
      [7_200_000, [[5, 4, 6, 5, 10, 0, null]]],
    ],
    end: 10_800_000,
    n_damaged: 0,
  });
  assert.deepEqual(drawing.times, [1800, 5400, 9000]);
  const [line] = drawing.lines;
  assert.deepEqual([line?.value, line?.min, line?.max], [[2, null, 5], [1, null, 4], [3, null, 6]]);
  assert.deepEqual([line?.low, line?.high, line?.last, line?.n, line?.flagged], [1, 6, 5, 20, 1]);
  assert.ok((rangeOf(drawing.lines, '')?.[0] ?? 1) < 1);
  assert.equal(rangeOf(drawing.lines, '%'), null);
});

test('dates are the farm’s, also where the clock jumps', () => {
  const paris = (ms: number): number => offsetAt('Europe/Paris', ms, 0);
  assert.equal(dateStart('2026-03-29', 0, paris), Date.UTC(2026, 2, 28, 23));
  assert.equal(dateStart('2026-03-29', 1, paris), Date.UTC(2026, 2, 29, 22));
  assert.equal(dateStart('', 0, paris), null);
  assert.equal(dateText(Date.UTC(2026, 2, 29, 22), paris(Date.UTC(2026, 2, 29, 22))), '2026-03-30');
  assert.equal(offsetAt('+07:00', 0, 0), 420);
  assert.equal(offsetAt('-03:30', 0, 0), -210);
  assert.equal(offsetAt('UTC', 0, 420), 0);
  assert.equal(offsetAt('No/Where', 0, 420), 420);
});

test('questions are asked in the words of the API', () => {
  const question = { series: ['n01/a', 'n02/b'], from: 1, to: 2, bucket: '1d' as const };
  assert.equal(spansPath(question), '/history/spans?series=n01%2Fa%2Cn02%2Fb&from=1&to=2&bucket=1d');
  assert.equal(exportPath({ ...question, bucket: 'auto' }, 'csv'), '/history/export?series=n01%2Fa%2Cn02%2Fb&from=1&to=2&format=csv');
});

test('as many decimals as tell values apart', () => {
  assert.deepEqual([3, 3.5, 3.25, 3.256, 3256.789].map(decimalsOf), [0, 1, 2, 2, 1]);
});
