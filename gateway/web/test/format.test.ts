// Digits, dates and spans: the browser's own zone and language must not matter.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  farmDay,
  formatClock,
  formatDate,
  formatDayMonth,
  formatNumber,
  formatPercent,
  NBSP,
  spanUnits,
} from '../src/lib/format';

const SON_LA = 420;

test('numbers use the marks of the language', () => {
  const cases: [number, number, string, string][] = [
    [23.45, 1, '23,4', '23.4'],
    [1234.5, 1, '1.234,5', '1,234.5'],
    [1234567, 0, '1.234.567', '1,234,567'],
    [999, 0, '999', '999'],
    [-0.04, 1, '0,0', '0.0'],
    [-3.26, 1, '−3,3', '−3.3'],
    [NaN, 1, '–', '–'],
    [Infinity, 0, '–', '–'],
  ];
  for (const [value, decimals, vi, en] of cases) {
    assert.equal(formatNumber('vi', value, decimals), vi);
    assert.equal(formatNumber('en', value, decimals), en);
  }
  assert.equal(formatPercent('vi', 21.96), `22,0${NBSP}%`);
});

test('dates are those of the farm, whatever zone this machine is in', () => {
  const lateEvening = Date.UTC(2026, 11, 31, 17, 5);
  assert.equal(formatClock(lateEvening, SON_LA), '00:05');
  assert.equal(formatDate('vi', lateEvening, SON_LA), '01/01/2027');
  assert.equal(formatDate('en', lateEvening, SON_LA), `1${NBSP}Jan${NBSP}2027`);
  assert.equal(formatDayMonth('vi', lateEvening, SON_LA), '01/01');
  assert.equal(formatClock(lateEvening, -210), '13:35');
  assert.equal(farmDay(lateEvening, SON_LA) - farmDay(lateEvening - 6 * 60_000, SON_LA), 1);
});

test('spans show at most two neighbouring units', () => {
  const check = (seconds: number, want: [string, number][]): void =>
    assert.deepEqual(
      spanUnits(seconds * 1000).map(({ unit, n }) => [unit, n]),
      want,
    );
  check(0, [['s', 0]]);
  check(-5, [['s', 0]]);
  check(59, [['s', 59]]);
  check(60, [['min', 1]]);
  check(61, [['min', 1], ['s', 1]]);
  check(3600 + 5 * 60 + 9, [['h', 1], ['min', 5]]);
  check(3600 + 9, [['h', 1]]);
  check(2 * 86_400 + 3600 * 3 + 60, [['day', 2], ['h', 3]]);
});
