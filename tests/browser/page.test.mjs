// The page in a real browser, against a running demonstration: `GIOT_URL=http://127.0.0.1:PORT/ npm test`.
// It looks at what a person sees and does; it asks the API only for the demonstration's speed. CHROMIUM names another
// browser than Debian's, SHOTS a folder for pictures of every screen.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium } from 'playwright-core';

const BASE = process.env.GIOT_URL;
assert.ok(BASE, 'GIOT_URL names no running demonstration');
const ORIGIN = new URL(BASE).origin;

const PHONE = { width: 360, height: 740 };
const DESK = { width: 1280, height: 800 };
const SCREENS = ['#/', '#/programs', '#/run', '#/rules', '#/history', '#/diary', '#/nodes', '#/farm'];
/** Generous: the demonstration shares two cores with a build. */
const WAIT_MS = 30_000;

let browser;
/** What went wrong in the pages of one test: console errors, exceptions, requests to other hosts. */
let wrong;

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
});

after(() => browser?.close());

beforeEach(() => {
  wrong = [];
});

async function open(t, { viewport = DESK, hash = '#/', ready = '[data-link=live]' } = {}) {
  // A zone far from the farm's: the page must show the farm's time whatever the browser believes.
  const context = await browser.newContext({ viewport, timezoneId: 'America/New_York', locale: 'de-DE' });
  t.after(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) wrong.push(`console ${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => wrong.push(`exception: ${error.message}`));
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (!['data:', 'blob:'].includes(url.protocol) && url.origin !== ORIGIN) wrong.push(`foreign request: ${url.href}`);
  });
  await page.goto(new URL(hash, BASE).href);
  await page.waitForSelector(ready);
  return page;
}

async function show(page, hash) {
  await page.evaluate((to) => {
    location.hash = to;
  }, hash);
  await page.waitForFunction((to) => location.hash === to, hash);
  if (hash === '#/history') await page.waitForSelector('[data-past-chart] canvas');
  if (hash === '#/farm') await page.waitForFunction(() => document.querySelector('textarea')?.value.includes('[[zone]]'));
  if (hash === '#/programs') await page.waitForSelector('[data-preview] [data-start]');
  await page.waitForTimeout(300);
}

const zones = (page) =>
  page.$$eval('article[data-zone]', (cards) => cards.map((card) => ({ id: card.dataset.zone, state: card.dataset.state })));

const state = (page, zone) => page.getAttribute(`[data-zone="${zone}"]`, 'data-state');

/** Remembers every state that a zone's card shows, so that a state of one second is not missed. */
async function recordStates(page) {
  await page.evaluate(() => {
    window.seenStates = [];
    const note = (card) => window.seenStates.push(`${card.dataset.zone} ${card.dataset.state}`);
    for (const card of document.querySelectorAll('article[data-zone]')) note(card);
    new MutationObserver((changes) => {
      for (const { target } of changes) note(target);
    }).observe(document.body, { subtree: true, attributeFilter: ['data-state'] });
  });
}

/** Zones that a test has watered: they may have to rest. */
const used = new Set();

/** Stops everything, so that the shared water source is free, and returns a zone whose valve is closed. */
async function freeZone(page) {
  await page.click('[data-action=stop-all]');
  await page.click('dialog button[type=submit]');
  await page.waitForSelector('dialog', { state: 'detached' });
  await page.waitForFunction(
    () => {
      const busy = ['sent', 'accepted', 'open', 'closing'];
      const cards = [...document.querySelectorAll('article[data-zone]')];
      const closed = cards.filter((card) => ['idle', 'waiting'].includes(card.dataset.state));
      return closed.length > 1 && cards.every((card) => !busy.includes(card.dataset.state));
    },
    null,
    { timeout: 2 * WAIT_MS },
  );
  const closed = (await zones(page)).filter((zone) => ['idle', 'waiting'].includes(zone.state));
  const free = closed.find((zone) => !used.has(zone.id)) ?? closed[0];
  assert.ok(free, 'no valve is closed after everything was stopped');
  used.add(free.id);
  return free.id;
}

async function start(page, zone, minutes) {
  await page.click(`article[data-zone="${zone}"] [data-action=start]`);
  await page.fill('dialog input[type=number]', String(minutes));
  await page.click('dialog button[type=submit]');
  await page.waitForSelector('dialog', { state: 'detached' });
  assert.deepEqual(await page.locator('[data-notice]').allTextContents(), [], 'the start was refused');
}

/** The newest diary entry of a zone with one of these events by a person, as text. */
async function diaryEntry(page, zone, events) {
  await show(page, '#/diary');
  const entry = page
    .locator(events.map((event) => `li[data-zone-id="${zone}"][data-event=${event}][data-by=person]`).join(', '))
    .first();
  await entry.waitFor();
  const text = (await entry.textContent()).replace(/\s+/g, ' ');
  await show(page, '#/');
  return text;
}

async function checkAxe(page, where) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  assert.deepEqual(
    grave.map(({ id, nodes }) => `${where}: ${id}: ${nodes[0]?.html}`),
    [],
  );
}

/** Nothing scrolls sideways, and every target is large enough for a finger. */
async function checkFits(page, where) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${where} is ${wide} px too wide`);
  const small = await page.$$eval('button, select, input, summary, nav a, a.button', (targets) =>
    targets
      .filter((target) => target.checkVisibility())
      .map((target) => ({ box: target.getBoundingClientRect(), html: target.outerHTML.slice(0, 90) }))
      .filter(({ box }) => box.height < 44 || box.width < 44)
      .map(({ html }) => html),
  );
  assert.deepEqual(small, [], `small targets on ${where}`);
}

async function picture(page, name) {
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}.png` });
}

describe('the page', { timeout: 600_000 }, () => {
  test('shows six zones, loads nothing from elsewhere and reports no error', async (t) => {
    const page = await open(t);
    const shown = await zones(page);
    assert.equal(shown.length, 6);
    assert.equal(new Set(shown.map(({ id }) => id)).size, 6);
    for (const hash of [...SCREENS, `#/zone/${shown[0].id}`, '#/']) await show(page, hash);
    assert.equal(await page.getAttribute('html', 'lang'), 'vi');
    assert.match(await page.textContent('header'), /mô phỏng/);
    await picture(page, 'desk-zones');
    assert.deepEqual(wrong, []);
  });

  test('shows the time of the farm, not of the browser', async (t) => {
    const page = await open(t);
    const overview = await page.evaluate(async () => (await fetch('api/v1/overview')).json());
    const shown = (await page.textContent('.time')).replace(/\s+/g, ' ');
    const minutes = (text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3, 5));
    const farm = Math.floor(overview.now / 60_000 + overview.utc_offset_min) % 1440;
    const seen = minutes(/\d\d:\d\d/.exec(shown)?.[0] ?? '');
    const apart = Math.min((farm - seen + 1440) % 1440, (seen - farm + 1440) % 1440);
    // Ten seconds of a slow machine are ten simulated minutes.
    assert.ok(apart <= 1 + 10 * ((overview.demo?.speed ?? 1) / 60), `${shown} is ${apart} min away from the farm's time`);
  });

  test('moisture moves without a reload', async (t) => {
    const page = await open(t);
    const read = () => page.locator('[data-moisture]').allTextContents();
    const first = JSON.stringify(await read());
    await page.waitForFunction(
      (was) => JSON.stringify([...document.querySelectorAll('[data-moisture]')].map((e) => e.textContent)) !== was,
      first,
      { timeout: 30_000 },
    );
    assert.equal((await read()).length, 6);
    assert.deepEqual(wrong, []);
  });

  test('speaks two languages and remembers the choice', async (t) => {
    const page = await open(t);
    const words = () => page.textContent('nav');
    assert.match(await words(), /Khu tưới.*Nhật ký/s);
    await page.getByRole('button', { name: /English/ }).click();
    await page.waitForFunction(() => document.documentElement.lang === 'en');
    assert.match(await words(), /Zones.*Diary/s);
    assert.match(await page.textContent('[data-action=stop-all]'), /Stop all/);
    await page.reload();
    await page.waitForSelector('[data-link=live]');
    assert.match(await words(), /Zones/);
    await page.getByRole('button', { name: /Tiếng Việt/ }).click();
    await page.waitForFunction(() => document.documentElement.lang === 'vi');
    assert.match(await words(), /Khu tưới/);
  });

  test('every reason is a sentence of the catalogue', async (t) => {
    const page = await open(t, { hash: '#/diary' });
    await page.waitForSelector('[data-entry]');
    for (const language of [/Tiếng Việt/, /English/]) {
      await page.getByRole('button', { name: language }).click();
      for (const text of await page.locator('[data-entry]').allTextContents()) {
        // Names that people gave stand in brackets; anything else with an underscore is a code without a sentence.
        assert.doesNotMatch(text.replace(/\([^)]*\)/g, ''), /[a-z]+_[a-z]+|\{|\$|undefined|null|NaN/, text);
      }
    }
  });

  test('the diary is asked by kind and day', async (t) => {
    const page = await open(t, { hash: '#/diary' });
    await page.waitForSelector('[data-event=started]');
    await page.locator('[data-field=kind]').selectOption('missed');
    await page.waitForFunction(() => document.querySelector('[data-event=started]') === null);
    await page.locator('[data-field=kind]').selectOption('water');
    // The demonstration's history begins thirty days before the tenth of March.
    const newest = await page.evaluate(async () => (await (await fetch('/api/v1/diary?limit=1')).json()).entries[0].at);
    await page.locator('[data-field=to]').fill(`${new Date(newest).getUTCFullYear()}-02-20`);
    await page.waitForFunction(() => {
      const entries = [...document.querySelectorAll('[data-entry]')];
      return entries.length > 10 && entries.every((entry) => /\b(0\d|1\d|20)\/02\b/.test(entry.textContent));
    });
    await checkFits(page, 'the diary of some days');
    await checkAxe(page, 'the diary of some days');
  });

  test('a person starts a zone for one minute: its valve opens and the diary says who and why', async (t) => {
    const page = await open(t);
    const zone = await freeZone(page);
    await recordStates(page);
    const newest = await page.$$eval('[data-entry]', (entries) => Math.max(0, ...entries.map((e) => Number(e.dataset.entry))));
    await start(page, zone, 1);
    // A simulated minute may be over between two messages to the page; the diary then still tells that the node
    // confirmed the open valve.
    await page.waitForFunction(
      ([id, before]) =>
        window.seenStates.includes(`${id} open`) ||
        [...document.querySelectorAll(`[data-zone-id="${id}"][data-event=confirmed]`)].some(
          (entry) => Number(entry.dataset.entry) > before,
        ),
      [zone, newest],
    );
    const text = await diaryEntry(page, zone, ['started']);
    assert.match(text, /Bắt đầu tưới/);
    assert.match(text, /bấm tưới 1 phút/);
    assert.match(text, /Người làm/);
    assert.deepEqual(wrong, []);
  });

  test('a person stops a zone: its valve closes', async (t) => {
    const page = await open(t);
    const zone = await freeZone(page);
    await start(page, zone, 30);
    await page.waitForSelector(`article[data-zone="${zone}"][data-state=open]`);
    await picture(page, 'desk-open');
    await page.click(`article[data-zone="${zone}"] [data-action=stop]`);
    await page.waitForFunction(
      (id) => !['open', 'closing', 'sent', 'accepted'].includes(document.querySelector(`article[data-zone="${id}"]`)?.dataset.state),
      zone,
    );
    assert.match(String(await state(page, zone)), /^(idle|waiting)$/);
    const text = await diaryEntry(page, zone, ['stopping', 'stopped']);
    assert.match(text, /bấm dừng/);
    assert.deepEqual(wrong, []);
  });

  test('a program is seen, started, stopped, skipped, adjusted and paused, in both languages on a phone', async (t) => {
    const [program, zone] = ['nhan-toi', 'nhan-1'];
    const page = await open(t, { viewport: PHONE });
    await freeZone(page);
    await show(page, '#/programs');
    const card = page.locator(`article[data-program=${program}]`);
    const fact = (state) => card.locator(`[data-fact=${state}]`);
    const firstStart = page.locator(`[data-preview] [data-start=${program}]`).first();
    const act = (name) => card.locator(`[data-action=${name}]`).click();
    const confirm = async () => {
      await page.click('dialog button[type=submit]');
      await page.waitForSelector('dialog', { state: 'detached' });
      assert.deepEqual(await page.locator('[data-notice]').allTextContents(), [], 'a wish was refused');
    };
    assert.match(await card.textContent(), /Nhãn buổi tối.*18:30.*(thứ|chủ)/s);
    assert.match(await firstStart.textContent(), /18:30.*Lô nhãn: 1 giờ 7 phút, từ 18:30/s);

    await act('start');
    assert.match(await page.textContent('dialog'), /Nhãn buổi tối/);
    await checkFits(page, 'the question before a start');
    await confirm();
    assert.match(await fact('running').textContent(), /Đang chạy, dự kiến xong lúc \d\d:\d\d/);
    assert.ok(await card.locator('[data-action=start]').isDisabled(), 'a running program starts once');
    await picture(page, 'phone-program-running');
    await show(page, '#/');
    await page.waitForSelector(`article[data-zone=${zone}][data-state=open]`);
    await show(page, '#/diary');
    const told = async (event) => {
      const entry = page.locator(`li[data-event=${event}]`, { hasText: 'Nhãn buổi tối' }).first();
      await entry.waitFor();
      return (await entry.textContent()).replace(/\s+/g, ' ');
    };
    assert.match(await told('scheduled'), /Lịch tưới Nhãn buổi tối bắt đầu: tưới tổng cộng 1 giờ 7 phút\..*quản trị viên/);
    assert.match(await told('started'), /Lô nhãn.*Lịch tưới Nhãn buổi tối: 1 giờ 7 phút, đợt 1 trên 1\./);

    await show(page, '#/programs');
    await act('stop');
    await fact('ready').waitFor();
    await act('skip');
    assert.match(await fact('skipping').textContent(), /Bỏ qua 1 lần tưới sắp tới/);
    await page.waitForSelector(`[data-preview] [data-start=${program}][data-skipped=true]`);
    assert.match(await firstStart.textContent(), /Không tưới\..*Có người bỏ qua lần tưới này/s);
    await page.getByRole('button', { name: /English/ }).click();
    assert.match(await fact('skipping').textContent(), /Skips its next start\./);
    assert.match(await firstStart.textContent(), /Not irrigated\..*Somebody skipped this start/s);
    await act('unskip');
    await fact('ready').waitFor();

    await act('adjust');
    await page.getByRole('button', { name: /^50/ }).click();
    await confirm();
    assert.match(await fact('adjusted').textContent(), /Gives 50 % of its amounts/);
    await firstStart.filter({ hasText: 'Lô nhãn: 33 min' }).waitFor();
    await act('adjust');
    await page.fill('dialog input[type=number]', '100');
    await confirm();
    await fact('ready').waitFor();

    await act('suspend');
    await confirm();
    assert.match(await fact('suspended').textContent(), /Paused until tomorrow \d\d:\d\d/);
    await act('resume');
    await fact('ready').waitFor();
    await act('off');
    await fact('off').waitFor();
    await act('on');
    await fact('ready').waitFor();

    const rain = page.locator('[data-pause=rain]');
    await rain.locator('[data-action=pause]').click();
    await page.locator('dialog [aria-pressed]').nth(1).click();
    await checkFits(page, 'the question of a pause');
    await checkAxe(page, 'the question of a pause');
    await confirm();
    await page.waitForSelector('[data-pause=rain][data-paused=true]');
    // The demonstration begins around the tenth of March.
    const until = Number(/(\d+).Mar/.exec(await page.textContent('.time'))?.[1]) + 2;
    assert.match(await rain.textContent(), new RegExp(`No irrigation until ${until}.Mar \\d\\d:\\d\\d`));
    await firstStart.filter({ hasText: 'Delayed because of rain' }).waitFor();
    await checkAxe(page, 'programs in English');
    await picture(page, 'phone-program-rain');
    await page.getByRole('button', { name: /Tiếng Việt/ }).click();
    assert.match(await rain.textContent(), new RegExp(`Không tưới đến ${String(until).padStart(2, '0')}/03 \\d\\d:\\d\\d`));
    assert.match(await firstStart.textContent(), /Hoãn tưới vì mưa/);
    await rain.locator('[data-action=end-pause]').click();
    await page.waitForSelector('[data-pause=rain][data-paused=false]');
    await firstStart.filter({ hasText: 'Lô nhãn: 1 giờ 7 phút' }).waitFor();

    const water = page.locator('[data-pause=water]');
    await water.locator('[data-action=pause]').click();
    await page.locator('dialog [aria-pressed]').nth(2).click();
    await checkFits(page, 'the question of a pause of water');
    await checkAxe(page, 'the question of a pause of water');
    await confirm();
    await page.waitForSelector('[data-pause=water][data-paused=true]');
    await water.locator('[data-action=end-pause]').click();
    await page.waitForSelector('[data-pause=water][data-paused=false]');
    assert.deepEqual(wrong, []);
  });

  test('a run is made longer, and what was watered by hand is written down', async (t) => {
    const page = await open(t, { viewport: PHONE });
    const zone = await freeZone(page);
    await start(page, zone, 30);
    await page.waitForSelector(`article[data-zone="${zone}"][data-state=open]`);
    await show(page, `#/zone/${zone}`);
    await page.click('[data-action=extend]');
    await page.fill('dialog input[type=number]', '25');
    await checkFits(page, 'the question of more minutes');
    await checkAxe(page, 'the question of more minutes');
    await page.click('dialog button[type=submit]');
    await page.waitForSelector('dialog', { state: 'detached' });
    assert.deepEqual(await page.locator('[data-notice]').allTextContents(), [], 'the longer run was refused');
    await checkFits(page, 'a zone that is watered');
    await checkAxe(page, 'a zone that is watered');
    await page.locator('[data-action=irrigated]').scrollIntoViewIfNeeded();
    await picture(page, 'phone-zone-open');
    assert.match(await diaryEntry(page, zone, ['adjusted']), /25 phút/);

    await show(page, `#/zone/${zone}`);
    await page.click('[data-action=irrigated]');
    await page.fill('[data-field=minutes]', '1441');
    assert.ok(await page.isDisabled('dialog button[type=submit]'), 'more than a day');
    await page.fill('[data-field=minutes]', '45');
    await page.fill('[data-field=litres]', '320');
    await checkFits(page, 'the question of water by hand');
    await checkAxe(page, 'the question of water by hand');
    await page.click('dialog button[type=submit]');
    await page.waitForSelector('dialog', { state: 'detached' });
    assert.match(await diaryEntry(page, zone, ['reported']), /tưới tay trong 45 phút, 320 lít/);
    await freeZone(page);
    assert.deepEqual(wrong, []);
  });

  test('chosen zones are watered once and valves tested, and a refusal is brought into sight', async (t) => {
    const page = await open(t, { viewport: PHONE });
    const zone = await freeZone(page);
    await show(page, '#/programs');
    await page.click('[data-to=run]');
    const pick = page.locator(`[data-pick="${zone}"]`);
    const submit = page.locator('[data-action=run]');
    assert.ok(await submit.isDisabled(), 'nothing is chosen');
    await pick.locator('.zone').click();
    await pick.locator('input').fill('0');
    assert.match(await pick.textContent(), /1 đến \d+/);
    assert.ok(await submit.isDisabled(), 'no minutes');
    await pick.locator('input').fill('2');
    await checkFits(page, 'zones with minutes');
    await checkAxe(page, 'zones with minutes');
    await submit.click();
    assert.match(await page.textContent('dialog'), /Tưới 1 khu một lần\?.*1 khu, 2 phút/s);
    await page.click('dialog button[type=submit]');
    await page.waitForSelector('[data-taken=once]');
    await show(page, '#/diary');
    assert.match(await page.locator('li[data-event=scheduled][data-by=person]').first().textContent(), /1 khu/);

    await show(page, '#/run');
    await page.click('[data-mode=test]');
    await page.click('[data-action=all]');
    await page.fill('[data-field=seconds]', '5');
    await checkFits(page, 'a test of valves');
    await picture(page, 'phone-test-valves');
    await page.route('**/api/v1/test-valves', (route) =>
      route.fulfill({ status: 409, contentType: 'application/problem+json', json: { status: 409, code: 'clock_unset', args: {} } }),
    );
    await submit.scrollIntoViewIfNeeded();
    await submit.click();
    await page.click('dialog button[type=submit]');
    await page.waitForSelector('dialog', { state: 'detached' });
    assert.match(await page.textContent('[data-notice]'), /Không thực hiện được: Đồng hồ/);
    const top = await page.$eval('[data-notice]', (notice) => notice.getBoundingClientRect().top);
    assert.ok(top >= 0 && top < PHONE.height, `the refusal is ${top} px down`);
    assert.equal(await page.locator('[data-taken]').count(), 0);
    // A refused wish keeps what was chosen.
    await page.unroute('**/api/v1/test-valves');
    await submit.click();
    await page.click('dialog button[type=submit]');
    await page.waitForSelector('[data-taken=test]');
    await show(page, '#/diary');
    assert.match(await page.locator('li[data-event=scheduled][data-by=person]').first().textContent(), /thử \d van|\d van/);
    await show(page, '#/');
    await freeZone(page);
    // The browser itself notes the refusal that was made up.
    assert.deepEqual(wrong.filter((text) => !/409/.test(text)), []);
  });

  test('rules tell what they say and how they stand, and are tried on past days', async (t) => {
    const page = await open(t, { viewport: PHONE });
    const save = (text) =>
      page.evaluate(async (wanted) => {
        const { version } = await (await fetch('/api/v1/farm')).json();
        const body = JSON.stringify({ text: wanted, version, note: '' });
        return (await fetch('/api/v1/farm', { method: 'POST', headers: { 'content-type': 'application/json' }, body })).status;
      }, text);
    const { text, zone } = await page.evaluate(async () => {
      const { zones } = await (await fetch('/api/v1/overview')).json();
      return { text: (await (await fetch('/api/v1/farm')).json()).text, zone: zones.find(({ probes }) => probes.length > 0) };
    });
    const dry = `\n[[rule]]\nid = "thu"\nname = "Đất chưa đẫm"\nwhen = 'zone["${zone.id}"].moisture < 90'\nfor_min = 5\nrepeat_min = 720\n`;
    const off = `\n[[rule]]\nid = "tat"\nenabled = false\nwhen = 'zone["${zone.id}"].moisture < 1'\nthen = [{ notify = "khô" }]\n`;
    assert.equal(await save(`${text}${dry}then = [{ notify = "đi xem" }, { stop = "${zone.id}" }]\n${off}`), 200);
    await show(page, '#/programs');
    await page.click('[data-to=rules]');
    const card = page.locator('[data-rule=thu]');
    await card.locator('[data-fact=holds]').waitFor();
    assert.match(await card.textContent(), new RegExp(`Đất chưa đẫm.*Điều kiện đang đúng.*Báo tin: đi xem.*Dừng tưới ${zone.name}`, 's'));
    assert.match(await page.textContent('[data-rule=tat]'), /Đang tắt/);
    await page.fill('[data-field=days]', '32');
    assert.ok(await page.isDisabled('[data-action=rehearse]'), 'more days than are looked back on');
    await page.fill('[data-field=days]', '3');
    await page.click('[data-action=rehearse]');
    const n = Number(await page.locator('[data-firings]').getAttribute('data-firings'));
    assert.ok(n >= 5, `${n} firings in three days, every twelve hours`);
    assert.equal(await page.locator('[data-firing=thu]').count(), n);
    await checkFits(page, 'rules');
    await checkAxe(page, 'rules');
    await picture(page, 'phone-rules');
    await page.getByRole('button', { name: /English/ }).click();
    assert.match(await card.textContent(), new RegExp(`Its condition holds.*Tell people: đi xem.*Stop irrigating ${zone.name}`, 's'));
    await page.selectOption('[data-field=rule]', 'tat');
    await page.click('[data-action=rehearse]');
    await page.waitForSelector('[data-firings="0"]');
    assert.match(await page.textContent('[data-firings]'), /None would have fired/);
    assert.equal(await save(text), 200);
    assert.deepEqual(wrong, []);
  });

  test('the chart is drawn for every span and says in words what it shows', async (t) => {
    const page = await open(t);
    const [{ id }] = await zones(page);
    await show(page, `#/zone/${id}`);
    await page.waitForSelector('[data-chart] canvas');
    for (const span of ['1', '7', '30']) {
      await page.click(`[data-span="${span}"]`);
      await page.waitForSelector(`[data-span="${span}"][aria-pressed=true]`);
      // Waits for the sentence of this span: the drawing comes with it.
      const words = { 1: /24 giờ/, 7: /7 ngày/, 30: /30 ngày/ }[span];
      await page.waitForFunction(
        (source) => new RegExp(source).test(document.querySelector('[data-chart]')?.getAttribute('aria-label') ?? ''),
        words.source,
      );
      const drawn = await page.$eval('[data-chart] canvas', (canvas) => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        const colors = new Map();
        for (let i = 0; i < data.length; i += 4) {
          if (data[i + 3] < 200) continue;
          const key = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
          colors.set(key, (colors.get(key) ?? 0) + 1);
        }
        return { line: colors.get(0x0b5c38) ?? 0, colors: colors.size };
      });
      assert.ok(drawn.line > 100, `${span} d: only ${drawn.line} pixels of the first probe's line`);
      assert.ok(drawn.colors > 3, `${span} d: ${drawn.colors} colours`);
      await picture(page, `desk-chart-${span}`);
    }
    const sentence = await page.getAttribute('[data-chart]', 'aria-label');
    assert.match(sentence, /Độ ẩm đất từ \d+,\d\s% đến \d+,\d\s%/);
    assert.equal(await page.textContent('figcaption'), sentence);
    await page.click('details summary');
    await page.locator('details tbody tr').nth(4).waitFor({ state: 'attached' });
    assert.ok((await page.locator('details tbody tr').count()) >= 5);
    assert.deepEqual(wrong, []);
  });

  test('series are compared, summed up and taken away, in both languages and by keyboard', async (t) => {
    const page = await open(t, { hash: '#/history', ready: '[data-past-chart=readings] canvas' });
    const chosen = () => page.$$eval('[data-chosen]', (chips) => chips.map((chip) => chip.dataset.chosen));
    const [first, ...others] = await chosen();
    assert.match(first, /soil_moisture/);
    for (const other of others) await page.click(`[data-chosen="${other}"]`);
    await page.waitForFunction(() => document.querySelectorAll('[data-line]').length === 1);
    // A second unit has an axis of its own; a third one is refused in words.
    await page.fill('input[type=search]', 'pin');
    await page.locator('[data-series$="/battery"], [data-series$="/battery_mv"]').first().focus();
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => document.querySelectorAll('[data-line]').length === 2);
    await page.click('[data-days="7"]');
    await page.selectOption('[data-field=bucket]', '1d');
    await page.waitForSelector('[data-past-chart=spans] canvas');
    await page.waitForFunction(() => document.querySelectorAll('[data-line]').length === 2);
    await picture(page, 'desk-history-vi');
    const answer = await page.evaluate(async () => {
      const links = [...document.querySelectorAll('a[data-format]')];
      const link = links.find((a) => a.dataset.format === 'csv');
      const response = await fetch(link.href);
      const rows = (await response.text()).trim().split('\n');
      return { formats: links.map((a) => a.dataset.format), disposition: response.headers.get('content-disposition'), rows };
    });
    assert.ok(answer.formats.includes('csv-excel-vi') && answer.formats.includes('xlsx'), answer.formats.join());
    assert.match(answer.disposition, /attachment; filename="giot-history.csv"/);
    assert.equal(answer.rows.length, 8, 'a title and seven days');
    assert.match(answer.rows[0], /^from \(.*\),to \(.*soil_moisture mean \(%\)/);
    // What the table says is what the file says.
    const low = await page.textContent('[data-line] td');
    const least = Math.min(...answer.rows.slice(1).map((row) => Number(row.split(',')[3] || Infinity)));
    assert.equal(Number(low.replace(/[^\d,]/g, '').replace(',', '.')).toFixed(1), least.toFixed(1));
    await page.getByRole('button', { name: /English/ }).click();
    await page.waitForFunction(() => /Lowest/.test(document.querySelector('main').textContent));
    assert.match(await page.textContent('main'), /soil moisture/);
    await picture(page, 'desk-history-en');
    for (const text of [await page.textContent('main')]) assert.doesNotMatch(text, /undefined|null|NaN|\{\$/);
    await page.selectOption('[data-field=bucket]', 'auto');
    await page.waitForSelector('[data-past-chart=readings] canvas');
    await page.fill('[data-field=from]', '2030-01-02');
    await page.fill('[data-field=to]', '2030-01-01');
    await page.waitForFunction(() => /must not be after/.test(document.querySelector('main').textContent));
    assert.deepEqual(wrong, []);
  });

  test('the farm is checked while one types, compared, saved and taken back', async (t) => {
    const page = await open(t);
    await page.getByRole('button', { name: /English/ }).click();
    await show(page, '#/farm');
    const text = page.locator('textarea');
    const before = await text.inputValue();
    const version = await page.locator('li[data-version]').first().getAttribute('data-version');
    await text.fill(before.replace('[[zone]]', 'speed = 1\n[[zone]]'));
    const problem = page.locator('[role=status] li').first();
    await problem.waitFor();
    assert.match(await problem.textContent(), /Line \d+.*speed/s);
    assert.ok(await page.locator('[data-action=review-farm]').isDisabled());
    await problem.locator('button').click();
    assert.ok(await page.evaluate(() => document.activeElement.tagName === 'TEXTAREA'));
    const changed = before.replace(/cooperative = "[^"]*"/, 'cooperative = "HTX thử"');
    assert.notEqual(changed, before);
    await text.fill(changed);
    await page.locator('[data-action=review-farm]:not([disabled])').click();
    assert.match(await page.locator('tr.added').first().textContent(), /HTX thử/);
    await page.locator('input[maxlength="200"]').fill('another name');
    await page.click('[data-action=save-farm]');
    await page.waitForFunction(() => document.querySelector('.coop').textContent === 'HTX thử');
    const saved = page.locator(`li[data-version="${Number(version) + 1}"]`);
    await saved.waitFor();
    assert.match(await saved.textContent(), /in force.*another name/s);
    await page.locator(`li[data-version="${version}"]`).getByRole('button', { name: 'Take it again' }).click();
    await page.waitForFunction((want) => document.querySelector('textarea').value === want, before);
    await page.locator('[data-action=review-farm]:not([disabled])').click();
    await page.click('[data-action=save-farm]');
    await page.waitForFunction(() => document.querySelector('.coop').textContent !== 'HTX thử');
    assert.deepEqual(wrong, []);
  });

  test('a lost gateway is told, and found again without a reload', async (t) => {
    const page = await open(t);
    await page.route('**/api/v1/events', (route) => route.abort());
    await page.reload();
    await page.waitForSelector('[data-link=lost]');
    assert.match(await page.textContent('main'), /Mất kết nối/);
    await page.unroute('**/api/v1/events');
    await page.waitForSelector('[data-link=live]');
    assert.equal((await zones(page)).length, 6);
  });

  test('what happened to the history is told calmly, a full disk on every screen', async (t) => {
    const health = {
      disk: { state: 'full', free_bytes: 300_000 },
      given_up: { at: 1e12, used_bytes: 9e7, allowed_bytes: 1e8, readings_before: 9e11, hours_before: null, over: false },
      mended: { at: 1e12, lost: 3, parts: [], file: 'giot-damaged-x.sqlite' },
    };
    const page = await open(t, { viewport: PHONE });
    assert.equal(await page.locator('[data-disk-full]').count(), 0);
    await page.route('**/api/v1/store', (route) => route.fulfill({ json: health }));
    await page.reload();
    await page.waitForSelector('[data-disk-full]');
    await show(page, '#/nodes');
    const ids = await page.locator('[data-store-note]').evaluateAll((notes) => notes.map((note) => note.dataset.storeNote));
    assert.deepEqual(ids, ['store-disk-full', 'store-gave-readings', 'store-mended-file']);
    const words = await page.locator('[data-store-note]').allTextContents();
    assert.ok(words.every((text) => text.length > 30 && !/[{}]|NaN|undefined/.test(text)), words.join('|'));
    assert.match(words[2], /3 .*giot-damaged-x\.sqlite/);
    const { violations } = await new AxeBuilder({ page }).analyze();
    assert.deepEqual(violations.filter(({ impact }) => ['serious', 'critical'].includes(impact)).map(({ id }) => id), []);
    assert.deepEqual(wrong, []);
  });

  test('what a node tells of itself is on its card, in both languages', async (t) => {
    const page = await open(t, { viewport: PHONE });
    const news = {
      restart: { at: 1e12, cause: 'watchdog', epoch: 7 },
      n_failed_restarts: 3,
      restless: true,
      lost: { n_records: 120, from: 9e11, to: 9.5e11 },
      n_lost: 1234,
    };
    const overview = await page.evaluate(async () => (await fetch('/api/v1/overview')).json());
    const [first, ...others] = overview.nodes;
    const state = JSON.stringify({ ...overview, nodes: [{ ...first, ...news }, ...others] });
    await page.route('**/api/v1/events', (route) =>
      route.fulfill({ contentType: 'text/event-stream', body: `event: overview\ndata: ${state}\n\n` }),
    );
    await page.reload();
    await show(page, '#/nodes');
    const card = page.locator('[data-node]').filter({ has: page.locator('[data-restless]') });
    assert.equal(await card.count(), 1);
    for (const [language, wanted, number] of [[/Tiếng Việt/, /bị treo/, '1.234'], [/English/, /hung and reset/, '1,234']]) {
      await page.getByRole('button', { name: language }).click();
      const text = await card.textContent();
      assert.match(text, wanted);
      assert.ok(text.includes(number) && text.includes('120') && !/[{}]|NaN|undefined/.test(text), text);
    }
    assert.deepEqual(wrong, []);
  });

  test('what a day has no room for is told above the days, in both languages', async (t) => {
    const page = await open(t, { viewport: PHONE });
    const of = { program: 'nhan-toi', zone: 'nhan-1', run_s: 5400, litres: 450 };
    await page.route('**/api/v1/programs/preview*', async (route) => {
      const preview = await (await route.fetch()).json();
      await route.fulfill({ json: { ...preview, short: [{ ...of, day: preview.starts[0].at }] } });
    });
    await show(page, '#/programs');
    const short = page.locator('[data-short]');
    assert.match(await short.textContent(), /Sẽ không tưới đủ.*Lô nhãn sẽ thiếu 1.giờ 30.phút \(450.lít\) của lịch tưới Nhãn buổi tối/s);
    await checkFits(page, 'what has no room');
    await page.getByRole('button', { name: /English/ }).click();
    assert.match(await short.textContent(), /Not all of it will fit.*Lô nhãn will lack 1.h 30.min \(450.L\) of program Nhãn buổi tối/s);
    assert.deepEqual(wrong, []);
  });

  test('the start dialog works with the keyboard alone and gives the focus back', async (t) => {
    const page = await open(t);
    await freeZone(page);
    const button = page.locator('article [data-action=start]').first();
    await button.focus();
    const name = await button.getAttribute('aria-label');
    await page.keyboard.press('Enter');
    await page.waitForSelector('dialog[open]');
    assert.ok(await page.evaluate(() => document.querySelector('dialog').contains(document.activeElement)));
    await page.keyboard.press('Escape');
    await page.waitForSelector('dialog', { state: 'detached' });
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('aria-label')), name);
  });

  test('fits a phone of 360 px: no sideways scrolling, targets of 44 px', async (t) => {
    const page = await open(t, { viewport: PHONE });
    const [{ id }] = await zones(page);
    for (const [name, hash] of [...SCREENS.entries(), ['zone', `#/zone/${id}`]]) {
      await show(page, hash);
      if (name === 'zone') await page.waitForSelector('[data-chart] canvas');
      for (const language of [/English/, /Tiếng Việt/]) {
        await page.getByRole('button', { name: language }).click();
        await checkFits(page, hash);
      }
      await picture(page, `phone-${name}`);
    }
    assert.deepEqual(wrong, []);
  });

  test('has no serious or critical accessibility violation on any screen', async (t) => {
    const page = await open(t, { viewport: PHONE });
    const [{ id }] = await zones(page);
    for (const hash of [...SCREENS, `#/zone/${id}`]) {
      await show(page, hash);
      if (hash.startsWith('#/zone/')) await page.waitForSelector('[data-chart] canvas');
      await checkAxe(page, hash);
    }
    await page.getByRole('button', { name: /English/ }).click();
    await show(page, '#/');
    await checkAxe(page, 'English');
    await page.click('[data-action=stop-all]');
    await page.waitForSelector('dialog[open]');
    await checkAxe(page, 'dialog');
  });
});
