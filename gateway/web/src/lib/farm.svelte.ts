// The live picture of the farm: the last overview, the newest diary entries, the farm's clock and whether the gateway is
// still heard. The only file that holds the event stream. A lost connection is told, never hidden: what is shown then keeps
// its time stamps and grows old.
import * as api from './api';
import { EVERYTHING } from './diary';
import { readEvents, type StreamEvent } from './sse';
import type { DiaryEntry, Overview, Zone } from './types';
import type { Farm as FarmWords } from './words';

/** Silence after which the connection counts as lost: two missed heartbeats of 15 s and some grace. */
const SILENCE_MS = 35_000;
const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 5_000;
/** Diary entries kept in memory for the overview; older ones are fetched by the diary screen. */
const DIARY_MAX = 100;
/** A node samples every ten minutes: three missed samples make a value old when the gateway names no limit. */
const FRESH_S_DEFAULT = 1_800;

export type Link = 'connecting' | 'live' | 'lost';

class Farm {
  overview = $state.raw<Overview | null>(null);
  diary = $state.raw<DiaryEntry[]>([]);
  link = $state<Link>('connecting');
  /** Farm time of the last sign of life, while the connection is lost. */
  lostSince = $state<number | null>(null);
  needsSignIn = $state(false);
  /** Whether there is a session to end; a demonstration has none. */
  canSignOut = $state(false);
  /** Farm time, told by the gateway and carried on between its messages; faster than real time in a demonstration. */
  now = $state(0);

  #receivedAt = 0;
  #heardAt = 0;
  #retryMs = RETRY_MS_MIN;
  #abort: AbortController | null = null;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #started = false;

  get offsetMin(): number {
    return this.overview?.utc_offset_min ?? 420;
  }

  /** What sentences need; ids stay readable when a zone is unknown. */
  get words(): FarmWords {
    const zones = this.overview?.zones ?? [];
    const nodes = this.overview?.nodes ?? [];
    const sources = this.overview?.sources ?? [];
    const programs = this.overview?.programs ?? [];
    return {
      offsetMin: this.offsetMin,
      zoneName: (id) => zones.find((zone) => zone.id === id)?.name ?? id,
      nodeName: (id) => nodes.find((node) => node.id === id)?.label || id,
      sourceName: (id) => sources.find((source) => source.id === id)?.name ?? id,
      programName: (id) => programs.find((program) => program.id === id)?.name ?? id,
    };
  }

  zone(id: string): Zone | undefined {
    return this.overview?.zones.find((zone) => zone.id === id);
  }

  /** Whether a zone's moisture is too old to be trusted. */
  isOld(zone: Zone): boolean {
    if (zone.soil.value === null || zone.moisture_at === null) return true;
    return this.now - zone.moisture_at > (zone.fresh_s ?? FRESH_S_DEFAULT) * 1000;
  }

  /** Begins to listen; asks for a sign-in first where one is needed. */
  async begin(): Promise<void> {
    if (!this.#started) {
      this.#started = true;
      setInterval(() => this.#tick(), 500);
      addEventListener('online', () => this.retryNow());
      document.addEventListener('visibilitychange', () => {
        // A phone that slept may hold a dead connection that still looks open.
        if (document.visibilityState === 'visible') this.#tick();
      });
    }
    try {
      const session = await api.session();
      this.needsSignIn = !session.signed_in && !session.open;
      this.canSignOut = session.signed_in && !session.open;
      if (this.needsSignIn) return;
    } catch {
      // Not reached: the event stream below tells and retries.
    }
    void this.#listen();
  }

  /** Ends the session and forgets what was shown. */
  async signOut(): Promise<void> {
    await api.signOut();
    this.needsSignIn = true;
    this.canSignOut = false;
    this.#abort?.abort();
    this.overview = null;
    this.diary = [];
  }

  /** Tries again without waiting for the timer. */
  retryNow(): void {
    if (this.link === 'live' || this.needsSignIn) return;
    this.#retryMs = RETRY_MS_MIN;
    void this.#listen();
  }

  #tick(): void {
    const overview = this.overview;
    if (overview) {
      const speed = overview.demo?.speed ?? 1;
      // Never backwards between two messages: a browser clock that is set back must not make old data look fresh.
      this.now = Math.max(this.now, overview.now + Math.max(0, Date.now() - this.#receivedAt) * speed);
    }
    if (this.link === 'live' && Date.now() - this.#heardAt > SILENCE_MS) this.#abort?.abort();
  }

  async #listen(): Promise<void> {
    clearTimeout(this.#retryTimer);
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    // A connection that is never answered is given up after the same silence.
    const answerTimer = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const response = await api.events(abort.signal);
      clearTimeout(answerTimer);
      this.#alive();
      await readEvents(
        response,
        () => this.#alive(),
        (event) => this.#take(event),
      );
    } catch (error) {
      if (error instanceof api.ApiError && error.status === 401) this.needsSignIn = true;
    } finally {
      clearTimeout(answerTimer);
    }
    // A newer attempt has taken over: its outcome counts, not this one's.
    if (this.#abort !== abort) return;
    this.#lose();
    if (this.needsSignIn) return;
    this.#retryTimer = setTimeout(() => void this.#listen(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
  }

  #alive(): void {
    this.#heardAt = Date.now();
  }

  #lose(): void {
    if (this.link === 'lost') return;
    this.link = 'lost';
    this.lostSince = this.overview ? this.now : null;
  }

  #take(event: StreamEvent): void {
    let data: unknown;
    try {
      data = JSON.parse(event.data);
    } catch {
      return;
    }
    if (event.event === 'overview') this.#takeOverview(data as Overview);
    if (event.event === 'diary') this.#addDiary([data as DiaryEntry]);
  }

  #takeOverview(overview: Overview): void {
    const first = this.link !== 'live';
    this.overview = overview;
    this.#receivedAt = Date.now();
    this.now = overview.now;
    this.link = 'live';
    this.lostSince = null;
    this.#retryMs = RETRY_MS_MIN;
    if (first) void this.#loadDiary();
  }

  /** The newest entries, once per connection: what happened while nobody listened is not sent again. */
  async #loadDiary(): Promise<void> {
    try {
      this.#addDiary(await api.diary(EVERYTHING, DIARY_MAX));
    } catch {
      // The stream goes on; the next connection loads them.
    }
  }

  #addDiary(entries: DiaryEntry[]): void {
    this.diary = mergeDiary(this.diary, entries).slice(0, DIARY_MAX);
  }
}

/** Both lists without doubles, newest first. */
export function mergeDiary(known: DiaryEntry[], more: DiaryEntry[]): DiaryEntry[] {
  const byId = new Map<string, DiaryEntry>();
  for (const entry of [...known, ...more]) byId.set(String(entry.id), entry);
  return [...byId.values()].sort((a, b) => Number(b.id) - Number(a.id));
}

export const farm = new Farm();
