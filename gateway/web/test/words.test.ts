// Both catalogues, and reasons of the engine as sentences.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import en from '../../locales/en.ftl?raw';
import vi from '../../locales/vi.ftl?raw';
import { message } from '../src/lib/fluent';
import { NBSP } from '../src/lib/format';
import { actor, ago, argument, day, moment, reason, reasonOrNull, refusal, span, word, type Farm } from '../src/lib/words';

const named =
  (names: Record<string, string>) =>
  (id: string): string =>
    names[id] ?? id;
const FARM: Farm = {
  offsetMin: 420,
  zoneName: named({ 'man-2': 'Lô mận 2' }),
  nodeName: named({ n01: 'Trạm 1' }),
  sourceName: named({ 'pump-1': 'Máy bơm suối' }),
  programName: named({ dem: 'Tưới đêm' }),
};

const ids = (text: string): string[] => [...text.matchAll(/^([a-z][a-z0-9-]*) =/gm)].map((match) => match[1] ?? '');
const variables = (text: string, id: string): string[] => {
  const body = new RegExp(`^${id} =(.*(?:\\n[ \\t]+.*)*)`, 'm').exec(text)?.[1] ?? '';
  return [...new Set([...body.matchAll(/\$([a-z_0-9]+)/g)].map((match) => match[1] ?? ''))].sort();
};

test('both languages have the same messages, each once', () => {
  assert.deepEqual(ids(vi).sort(), ids(en).sort());
  assert.equal(new Set(ids(vi)).size, ids(vi).length);
  assert.ok(ids(vi).length > 100);
});

test('both languages use the same arguments', () => {
  for (const id of ids(vi)) {
    // A number that English needs to choose a plural may stay unused in Vietnamese, never the other way round.
    for (const name of variables(vi, id)) assert.ok(variables(en, id).includes(name), `${id}: ${name}`);
    if (id.startsWith('reason-')) assert.deepEqual(variables(vi, id), variables(en, id), id);
  }
});

test('a reason is a sentence with its numbers and units', () => {
  const dry = { code: 'soil_dry', args: { moisture: 21.9, start_below: 22 } };
  assert.equal(reason('vi', FARM, dry), `Đất khô: độ ẩm 21,9${NBSP}%, dưới ngưỡng 22,0${NBSP}%.`);
  assert.equal(reason('en', FARM, dry), `Soil is dry: moisture 21.9${NBSP}%, below 22.0${NBSP}%.`);
  assert.match(reason('vi', FARM, { code: 'source_busy', args: { zone: 'man-2' } }), /Lô mận 2/);
});

test('a program is called by its name, in reasons and as the one who acted', () => {
  const run = { code: 'program_run', args: { program: 'dem', run_s: 600, cycle: 1, n_cycles: 2 } };
  assert.equal(reason('vi', FARM, run), 'Lịch tưới Tưới đêm: 10 phút, đợt 1 trên 2.');
  assert.equal(reason('en', FARM, run), 'Program Tưới đêm: 10 min, portion 1 of 2.');
  assert.equal(argument('vi', FARM, 'program', 'gone'), 'gone');
  assert.equal(actor('vi', FARM, { by: 'program', person: 'dem' }), 'Lịch tưới Tưới đêm');
  assert.equal(actor('en', FARM, { by: 'person', person: 'admin' }), 'By the administrator');
  assert.equal(actor('en', FARM, { by: 'person', person: null }), 'By somebody unnamed');
  assert.equal(actor('en', FARM, { by: 'engine', person: null }), 'Automatic');
});

test('an unknown reason or a missing number shows itself and never an empty place', () => {
  assert.equal(reasonOrNull('vi', FARM, { code: 'soil_dry', args: {} }), null);
  assert.equal(reason('en', FARM, { code: 'moon_full', args: { waited_s: 90 } }), 'moon full, waited_s 1 min 30 s');
});

test('a refusal is told in full, in short, or left to the caller', () => {
  assert.match(refusal('vi', FARM, { code: 'locked', args: { by: 'Hương', note: 'thay van' } }) ?? '', /^Hương/);
  assert.equal(refusal('vi', FARM, { code: 'locked', args: {} }), 'Khu này đang bị khoá.');
  assert.match(refusal('vi', FARM, { code: 'busy', args: {} }) ?? '', /thử lại/);
  assert.equal(refusal('en', FARM, { code: 'bad_request', args: {} }), null);
});

test('arguments take their unit from their name', () => {
  const cases: [string, number | string, string][] = [
    ['waited_s', 30, '30 giây'],
    ['run_s', 600, '10 phút'],
    ['from_min', 300, '05:00'],
    ['to_min', 1440, '00:00'],
    ['from_at', 1_772_668_800_000, '07:00 05/03/2026'],
    ['moisture', 21.94, `21,94${NBSP}%`],
    ['start_below', 22, `22,0${NBSP}%`],
    ['litres', 1284.5, '1.285 lít'],
    ['litres', 3.25, '3,3 lít'],
    ['litres', 0, 'không rõ bao nhiêu lít'],
    ['volume', 0, '0,0 lít'],
    ['attempt', 3, '3'],
    ['zone', 'man-2', 'Lô mận 2'],
    ['by', 'Hương', 'Hương'],
    ['by', 'admin', 'quản trị viên'],
    ['device', 'n01', 'Trạm 1'],
    ['metric', 'soil_moisture', 'độ ẩm đất'],
    ['metric', 'soil_moisture_1', 'độ ẩm đất 1'],
    ['metric', 'm3_2', 'm3_2'],
    ['refusal', 'bad_mac', 'chữ ký không đúng'],
    ['fault', 'valve_silent', 'không nghe gì về van'],
    ['fault', 'of_tomorrow', 'of_tomorrow'],
  ];
  for (const [name, value, want] of cases) assert.equal(argument('vi', FARM, name, value), want, name);
});

test('moments and ages are as short as they may be', () => {
  const now = Date.UTC(2026, 1, 14, 3, 0);
  assert.equal(moment('vi', now - 3600_000, now, 420), '09:00');
  assert.equal(moment('vi', now - 11 * 3600_000, now, 420), 'hôm qua 23:00');
  assert.equal(moment('vi', now - 5 * 86_400_000, now, 420), '09/02 10:00');
  assert.equal(moment('vi', now - 60 * 86_400_000, now, 420), '16/12/2025 10:00');
  assert.equal(moment('vi', now + 14 * 3600_000, now, 420), 'ngày mai 00:00');
  assert.equal(moment('en', now + 3 * 86_400_000, now, 420), `17${NBSP}Feb 10:00`);
  assert.equal(ago('vi', 20_000), 'vừa xong');
  assert.equal(ago('en', 3 * 3600_000 + 59 * 60_000), '3 h ago');
  assert.equal(span('vi', 3_900_000), '1 giờ 5 phút');
});

test('a day has its weekday and says whether it is near', () => {
  const saturday = Date.UTC(2026, 1, 14, 3, 0);
  const days = (lang: 'vi' | 'en'): string[] => [-1, 0, 1, 2].map((n) => day(lang, saturday + n * 86_400_000, saturday, 420));
  assert.deepEqual(days('vi'), ['thứ sáu 13/02', 'hôm nay, thứ bảy 14/02', 'ngày mai, chủ nhật 15/02', 'thứ hai 16/02']);
  assert.equal(days('en')[2], `tomorrow, Sunday 15${NBSP}Feb`);
  // Five past midnight on the farm is still the evening before in London.
  assert.match(day('en', Date.UTC(1969, 11, 31, 17, 5), saturday, 420), /^Thursday/);
});

test('plurals and fall-backs', () => {
  assert.match(message('en', 'chart-runs', { n: 1, span: '2 h' }), /Irrigated once, 2 h/);
  assert.match(message('vi', 'chart-runs', { n: 3, span: '2 giờ' }), /3 lần/);
  assert.equal(message('vi', 'no-such-message'), 'no-such-message');
  assert.equal(word('vi', 'crop', 'dragon_fruit'), 'Thanh long');
  assert.equal(word('vi', 'crop', 'sầu riêng'), 'sầu riêng');
});
