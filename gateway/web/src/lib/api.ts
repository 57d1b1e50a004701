// The page's calls to the gateway. Knows addresses and errors, holds no state and shows nothing.
import type { OnceRun } from './byhand';
import { diaryQuery, type DiaryChoice } from './diary';
import { chartPath, exportPath, spansPath, type Question } from './past';
import { rehearsalQuery } from './rules';
import type {
  Backtest,
  Balance,
  ChartAnswer,
  DiaryEntry,
  FarmText,
  FarmVersion,
  FarmVersionText,
  History,
  HistoryChoice,
  Judgement,
  PauseKind,
  Preview,
  Problem,
  Programs,
  Rehearsal,
  Rule,
  Session,
  SpansAnswer,
  StoreHealth,
  Waits,
  Why,
} from './types';

/** Relative, so that the page also works below a path of a reverse proxy. */
const BASE = 'api/v1';

/** A request that hangs is worse than one that fails: the person in the field wants to know. */
const TIMEOUT_MS = 10_000;
/** A year of many series is read from a slow card. */
const HISTORY_TIMEOUT_MS = 60_000;

/** A refused or failed request; `status` 0 means that the gateway was not reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.detail ?? problem.title ?? `HTTP ${status}`);
  }
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const body: unknown = await response.json();
    return typeof body === 'object' && body !== null ? (body as Problem) : {};
  } catch {
    return {};
  }
}

async function request(method: string, path: string, body?: unknown, timeoutMs = TIMEOUT_MS): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`${BASE}${path}`, {
      method,
      cache: 'no-store',
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(0, {});
  }
  if (!response.ok) throw new ApiError(response.status, await problemOf(response));
  return response;
}

async function get<T>(path: string, timeoutMs = TIMEOUT_MS): Promise<T> {
  const response = await request('GET', path, undefined, timeoutMs);
  try {
    return (await response.json()) as T;
  } catch {
    throw new ApiError(0, {});
  }
}

const zonePath = (zone: string): string => `/zones/${encodeURIComponent(zone)}`;
const programPath = (program: string): string => `/programs/${encodeURIComponent(program)}`;

export const session = (): Promise<Session> => get('/session');

export async function signIn(secret: string): Promise<void> {
  await request('POST', '/session', { secret });
}

export async function signOut(): Promise<void> {
  await request('DELETE', '/session');
}

export function history(zone: string, from: number, to: number, points: number): Promise<History> {
  const query = new URLSearchParams({ from: String(from), to: String(to), points: String(points) });
  return get(`${zonePath(zone)}/history?${query}`);
}

export const storeHealth = (): Promise<StoreHealth> => get('/store');

export const historyChoice = (): Promise<HistoryChoice> => get('/history/series');

export const pastReadings = (question: Question, points: number): Promise<ChartAnswer> =>
  get(chartPath(question, points), HISTORY_TIMEOUT_MS);

export const pastSpans = (question: Question): Promise<SpansAnswer> => get(spansPath(question), HISTORY_TIMEOUT_MS);

/** Address of a file to download. */
export const exportHref = (question: Question, format: string): string => BASE + exportPath(question, format);

/** What a zone's settings, or one program, would have done on past days. */
export function backtest(zone: string, from: string, to: string, program: string): Promise<Backtest> {
  const query = new URLSearchParams({ from, to, ...(program === '' ? {} : { program }) });
  return get(`${zonePath(zone)}/backtest?${query}`, HISTORY_TIMEOUT_MS);
}

/** What the soil of a zone lacks, and the days behind it. */
export const balance = (zone: string): Promise<Balance> => get(`${zonePath(zone)}/balance`, HISTORY_TIMEOUT_MS);

/** Why a zone was watered on a day, or why not; `day` is today, yesterday or a date. */
export const why = (zone: string, day: string): Promise<Why> => get(`${zonePath(zone)}/why?${new URLSearchParams({ day })}`);

export async function diary(choice: DiaryChoice, limit: number, before?: DiaryEntry['id']): Promise<DiaryEntry[]> {
  return (await get<{ entries: DiaryEntry[] }>(`/diary?${diaryQuery(choice, limit, before)}`)).entries;
}

export async function start(zone: string, minutes: number): Promise<void> {
  await request('POST', `${zonePath(zone)}/start`, { minutes });
}

/** Makes the run under way longer. */
export async function extend(zone: string, minutes: number): Promise<void> {
  await request('POST', `${zonePath(zone)}/extend`, { minutes });
}

/** Notes what was watered by hose, or by a valve that was turned by hand; 0 litres: not known. */
export async function irrigated(zone: string, minutes: number, litres: number): Promise<void> {
  await request('POST', `${zonePath(zone)}/irrigated`, { minutes, litres });
}

export async function stop(zone: string): Promise<void> {
  await request('POST', `${zonePath(zone)}/stop`, {});
}

export async function stopAll(): Promise<void> {
  await request('POST', '/stop-all', {});
}

/** Opens the valves of zones shortly, one after another in this order. */
export async function testValves(seconds: number, zones: string[]): Promise<Waits[]> {
  return waiting(await request('POST', '/test-valves', { seconds, zones }));
}

/** Waters a set of zones once. */
export async function runOnce(runs: OnceRun[]): Promise<Waits[]> {
  return waiting(await request('POST', '/run-once', { runs }));
}

/** The runs that were taken and wait. */
const waiting = async (response: Response): Promise<Waits[]> => ((await response.json()) as { waiting?: Waits[] }).waiting ?? [];

export async function lock(zone: string, note: string): Promise<void> {
  await request('POST', `${zonePath(zone)}/lock`, { note });
}

export async function unlock(zone: string): Promise<void> {
  await request('POST', `${zonePath(zone)}/unlock`, {});
}

export async function clearFault(zone: string): Promise<void> {
  await request('POST', `${zonePath(zone)}/clear-fault`, {});
}

export async function clearSource(source: string): Promise<void> {
  await request('POST', `/sources/${encodeURIComponent(source)}/clear-fault`, {});
}

export const programs = (): Promise<Programs> => get('/programs');

export const preview = (days: number): Promise<Preview> => get(`/programs/preview?days=${days}`);

export async function startProgram(program: string): Promise<void> {
  await request('POST', `${programPath(program)}/start`, {});
}

export async function stopProgram(program: string): Promise<void> {
  await request('POST', `${programPath(program)}/stop`, {});
}

/** Leaves out the next `starts` starts; 0 takes it back. */
export async function skipStarts(program: string, starts: number): Promise<void> {
  await request('POST', `${programPath(program)}/skip`, { starts });
}

export async function enableProgram(program: string, enabled: boolean): Promise<void> {
  await request('POST', `${programPath(program)}/enable`, { enabled });
}

/** Replaces the adjustment before. */
export async function adjustProgram(program: string, percent: number): Promise<void> {
  await request('POST', `${programPath(program)}/adjust`, { percent });
}

/** Pauses a program until a moment; null lets it go on. */
export async function suspendProgram(program: string, until: number | null): Promise<void> {
  await request('POST', `${programPath(program)}/suspend`, { until });
}

/** Has programs leave a zone out until a moment; null lets them go on. */
export async function suspendZone(zone: string, until: number | null): Promise<void> {
  await request('POST', `/zones/${encodeURIComponent(zone)}/suspend`, { until });
}

/** Pauses automatic irrigation until a moment, because of rain or not, or all water; null lets them go on. */
export async function pauseAll(kind: PauseKind, until: number | null): Promise<void> {
  await request('POST', '/pause', { rain: kind === 'rain', water: kind === 'water', until });
}

export const rules = async (): Promise<Rule[]> => (await get<{ rules: Rule[] }>('/rules')).rules;

/** When the rules, or one of them, would have fired on the last days. */
export const rehearse = (days: number, rule: string): Promise<Rehearsal> =>
  get(`/rules/test?${rehearsalQuery(days, rule)}`, HISTORY_TIMEOUT_MS);

const FARM = '/farm';

export const farmText = (): Promise<FarmText> => get(FARM);

/** Everything that is wrong with a draft of the farm, and what it would change. */
export async function checkFarm(text: string): Promise<Judgement> {
  const response = await request('POST', `${FARM}/check`, { text });
  return (await response.json()) as Judgement;
}

/** Saves a draft that was made from a version. */
export async function saveFarm(text: string, version: number, note: string, removeAll: boolean): Promise<void> {
  await request('POST', FARM, { text, version, note, remove_all: removeAll });
}

export async function farmVersions(limit: number, before?: number): Promise<FarmVersion[]> {
  const query = new URLSearchParams({ limit: String(limit) });
  if (before !== undefined) query.set('before', String(before));
  return (await get<{ versions: FarmVersion[] }>(`${FARM}/versions?${query}`)).versions;
}

export const farmVersion = (version: number): Promise<FarmVersionText> => get(`${FARM}/versions/${version}`);

/** Opens the event stream; the caller reads it and ends it through `signal`. */
export async function events(signal: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`${BASE}/events`, { headers: { accept: 'text/event-stream' }, cache: 'no-store', signal });
  } catch {
    throw new ApiError(0, {});
  }
  if (!response.ok) throw new ApiError(response.status, await problemOf(response));
  return response;
}
