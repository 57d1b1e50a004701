// Rules in sentences.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { effect, lastFiring, rehearsalQuery, ruleFacts } from '../src/lib/rules';
import type { Reason, Rule } from '../src/lib/types';
import type { Farm } from '../src/lib/words';

const NOW = Date.UTC(2026, 1, 14, 3, 0);
const HOUR = 3_600_000;
const same = (id: string): string => id;
const FARM: Farm = {
  offsetMin: 420,
  zoneName: (id) => (id === 'man-1' ? 'Lô mận 1' : id),
  nodeName: same,
  sourceName: same,
  programName: (id) => (id === 'dem' ? 'Tưới đêm' : id),
};

const rule = (over: Partial<Rule> = {}): Rule => ({
  id: 'heat',
  name: 'Trời nóng',
  when: 'weather.air_c > 36',
  enabled: true,
  then: [],
  holds: false,
  missing: null,
  active: false,
  fires_at: null,
  fired_at: null,
  fired_today: 0,
  values: '',
  ...over,
});
const facts = (lang: 'vi' | 'en', over: Partial<Rule>): [string, string][] =>
  ruleFacts(lang, FARM, rule(over), NOW).map(({ state, text }) => [state, text]);

test('a rule says whether its condition holds', () => {
  assert.deepEqual(facts('vi', {}), [['quiet', 'Điều kiện đang không đúng.']]);
  assert.deepEqual(facts('en', { holds: true }), [['holds', 'Its condition holds.']]);
  assert.deepEqual(facts('en', { holds: null, missing: 'weather.air_c' }), [
    ['unknown', 'Nobody knows whether its condition holds: weather.air_c is missing or too old.'],
  ]);
});

test('a rule that is switched off says nothing else', () => {
  assert.deepEqual(facts('vi', { enabled: false, holds: null, missing: 'weather.air_c' }), [['off', 'Đang tắt.']]);
});

test('what has fired or is about to comes first', () => {
  assert.deepEqual(facts('vi', { holds: true, fires_at: NOW + HOUR }), [
    ['pending', 'Sẽ kích hoạt lúc 11:00 nếu điều kiện vẫn đúng.'],
    ['holds', 'Điều kiện đang đúng.'],
  ]);
  // It repeats then: that it goes on is told, not that it will fire for the first time.
  assert.deepEqual(
    facts('en', { holds: false, active: true, fires_at: NOW + HOUR }).map(([state]) => state),
    ['active', 'quiet'],
  );
});

test('the last firing is told with its day, and how often it was within one', () => {
  const last = (over: Partial<Rule>): string => lastFiring('en', FARM, rule(over), NOW);
  assert.equal(last({}), 'It has not fired yet.');
  assert.equal(last({ fired_at: NOW - HOUR, fired_today: 1 }), 'Last fired: 09:00.');
  assert.equal(last({ fired_at: NOW - 11 * HOUR, fired_today: 3 }), 'Last fired: yesterday 23:00. 3 times within a day.');
});

test('what follows is a sentence with names and spans; an unknown code shows itself', () => {
  const cases: [Reason, string, string][] = [
    [{ code: 'start', args: { zone: 'man-1', run_s: 900 } }, 'Tưới Lô mận 1 15 phút', 'Irrigate Lô mận 1 for 15 min'],
    [{ code: 'stop', args: { zone: 'man-1' } }, 'Dừng tưới Lô mận 1', 'Stop irrigating Lô mận 1'],
    [{ code: 'lock', args: { zone: 'other' } }, 'Khoá other', 'Lock other'],
    [
      { code: 'adjust', args: { program: 'dem', percent: 80 } },
      'Đặt lịch tưới Tưới đêm còn 80 % lượng đã đặt',
      'Set program Tưới đêm to 80 % of its amounts',
    ],
    [{ code: 'notify', args: { note: 'Nóng:\nstop man-1' } }, 'Báo tin: Nóng:\nstop man-1', 'Tell people: Nóng:\nstop man-1'],
    [{ code: 'dance', args: { zone: 'man-1' } }, 'dance, zone Lô mận 1', 'dance, zone Lô mận 1'],
  ];
  for (const [follows, vi, en] of cases) {
    const plain = (lang: 'vi' | 'en'): string => effect(lang, FARM, follows).replaceAll('\u00a0', ' ');
    assert.deepEqual([plain('vi'), plain('en')], [vi, en]);
  }
});

test('a rehearsal asks for days, and for one rule where it is chosen', () => {
  assert.equal(rehearsalQuery(7, ''), 'last=7d');
  assert.equal(rehearsalQuery(31, 'heat'), 'last=31d&rule=heat');
});
