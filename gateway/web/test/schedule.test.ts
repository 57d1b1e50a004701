// Programs in sentences, planned starts by day and by zone.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byDay, byZone, facts, isAhead, pauseEnd, shortages } from '../src/lib/schedule';
import type { PlannedRun, PlannedStart, Program } from '../src/lib/types';
import type { Farm } from '../src/lib/words';

const MIN = 60_000;
const HOUR = 60 * MIN;
const DAY = 24 * HOUR;
const SON_LA = 420;
/** Ten in the morning on the farm. */
const NOW = Date.UTC(2026, 1, 14, 3, 0);
const same = (id: string): string => id;
const FARM: Farm = { offsetMin: SON_LA, zoneName: same, nodeName: same, sourceName: same, programName: same };

const program = (over: Partial<Program> = {}): Program => ({
  id: 'dem',
  name: 'Tưới đêm',
  enabled: true,
  adjust_percent: 100,
  skip_next: 0,
  suspended_until: null,
  next_start: null,
  busy_until: null,
  invalid: null,
  ...over,
});

const vi = (over: Partial<Program>): string[] => facts('vi', FARM, program(over), NOW).map(({ text }) => text);

test('a program that follows its calendar only says that it is on', () => {
  assert.deepEqual(facts('en', FARM, program(), NOW), [{ state: 'ready', text: 'Switched on.' }]);
  // What is over is not told.
  assert.deepEqual(vi({ busy_until: NOW, suspended_until: NOW - 1 }), ['Đang bật.']);
});

test('everything that differs from the calendar is told, the gravest first', () => {
  const all = facts(
    'vi',
    FARM,
    program({
      enabled: false,
      adjust_percent: 50,
      skip_next: 2,
      suspended_until: NOW + DAY,
      busy_until: NOW + HOUR,
      invalid: 'no_flow',
    }),
    NOW,
  );
  assert.deepEqual(
    all.map(({ state, text }) => [state, text]),
    [
      ['invalid', 'Chưa chạy được: chưa biết lưu lượng của khu tưới.'],
      ['running', 'Đang chạy, dự kiến xong lúc 11:00.'],
      ['off', 'Đang tắt.'],
      ['suspended', 'Tạm ngừng đến ngày mai 10:00.'],
      ['skipping', 'Bỏ qua 2 lần tưới sắp tới.'],
      ['adjusted', 'Tưới 50 % lượng đã đặt.'],
    ],
  );
});

test('single facts in both languages; a problem without words shows its code', () => {
  assert.deepEqual(vi({ adjust_percent: 0 }), ['Tưới 0 % lượng đã đặt.']);
  assert.deepEqual(vi({ invalid: 'of_tomorrow' }), ['Chưa chạy được: of_tomorrow.']);
  const english = (n: number): string | undefined => facts('en', FARM, program({ skip_next: n }), NOW)[0]?.text;
  assert.equal(english(1), 'Skips its next start.');
  assert.equal(english(3), 'Skips its next 3 starts.');
});

test('a moment is ahead only while it has not come', () => {
  assert.deepEqual([null, NOW - 1, NOW, NOW + 1].map((at) => isAhead(at, NOW)), [false, false, false, true]);
});

test('starts are grouped by the days of the farm, not of UTC', () => {
  const start = (at: number): PlannedStart => ({ program: 'dem', at, under_way: false, runs: [], skipped: [] });
  const midnight = Date.UTC(2026, 1, 14, 17, 0);
  const days = byDay([midnight - MIN, midnight, midnight + DAY - MIN, midnight + 3 * DAY].map(start), SON_LA);
  assert.deepEqual(
    days.map(({ at, starts }) => [at, starts.length]),
    [
      [midnight - MIN, 1],
      [midnight, 2],
      [midnight + 3 * DAY, 1],
    ],
  );
  assert.deepEqual(byDay([], SON_LA), []);
});

test('the portions of a zone are added up, and what is noted about them is said once', () => {
  const cut = { code: 'run_cut', args: { wanted_s: 1800, run_s: 600 } };
  const moved = { code: 'run_moved', args: { late_s: 60 } };
  const run = (zone: string, fromMin: number, minutes: number, notes: PlannedRun['notes'] = []): PlannedRun => ({
    zone,
    from: fromMin * MIN,
    until: (fromMin + minutes) * MIN,
    notes,
  });
  const shares = byZone([run('b', 20, 10, [cut]), run('a', 0, 20, [moved]), run('b', 60, 5, [cut, moved]), run('a', 40, 20)]);
  assert.deepEqual(shares, [
    { zone: 'a', from: 0, runMs: 40 * MIN, nRuns: 2, notes: [moved] },
    { zone: 'b', from: 20 * MIN, runMs: 15 * MIN, nRuns: 2, notes: [cut, moved] },
  ]);
  assert.deepEqual(byZone([]), []);
});

test('a pause of days ends at the same time of day, on a whole millisecond', () => {
  assert.equal(pauseEnd(NOW + 0.4, 2, 'days'), NOW + 2 * DAY);
  assert.equal(pauseEnd(NOW + 0.4, 30, 'minutes'), NOW + 30 * MIN);
});

test('what a day has no room for is told with its day, zone and program', () => {
  const one = { day: Date.UTC(2026, 1, 14, 17, 0), program: 'dem', zone: 'mận-1', run_s: 5400 };
  const told = (lang: 'vi' | 'en'): string[] =>
    shortages(lang, FARM, short, NOW).map((text) => text.replace(/[\u00a0\u202f]/g, ' '));
  const short = [{ ...one, litres: 450 }, { ...one, day: one.day + 2 * DAY, run_s: 600, litres: null }];
  assert.deepEqual(told('en'), [
    'tomorrow, Sunday 15 Feb: mận-1 will lack 1 h 30 min (450 L) of program dem',
    'Tuesday 17 Feb: mận-1 will lack 10 min of program dem',
  ]);
  assert.deepEqual(told('vi'), [
    'ngày mai, chủ nhật 15/02: mận-1 sẽ thiếu 1 giờ 30 phút (450 lít) của lịch tưới dem',
    'thứ ba 17/02: mận-1 sẽ thiếu 10 phút của lịch tưới dem',
  ]);
});
