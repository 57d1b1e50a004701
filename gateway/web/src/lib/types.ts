// The shapes that the gateway's API under /api/v1 sends. Times are Unix milliseconds, moisture is per cent of volume, tension is kPa,
// volumes are litres. Nothing here computes.

/** Why something was done, or not: a code of the engine and its numbers in display units. */
export interface Reason {
  code: string;
  args: Record<string, number | string>;
}

/** A run of a set or a test that was taken and waits. */
export interface Waits {
  zone: string;
  reason: Reason;
}

/** What a zone's valve is known to be, never what somebody wishes it to be. */
export type ZoneState =
  | 'idle'
  | 'waiting'
  | 'sent'
  | 'accepted'
  | 'open'
  | 'closing'
  | 'unknown'
  | 'fault'
  | 'locked';

export interface ProbeValue {
  device: string;
  metric: string;
  depth_cm: number | null;
  value: number | null;
  at: number | null;
  quality: string;
}

/** How dry a zone is and when it is watered, in the unit of its probes: in % dry is low, in kPa dry is high. */
export interface Soil {
  value: number | null;
  unit: '%' | 'kPa';
  start: number;
  stop: number;
  /** The same as shares of the soil's available water that are used up, %. */
  depletion: { value: number | null; start: number; stop: number; field_capacity: number; wilting_point: number } | null;
}

export interface Zone {
  id: string;
  name: string;
  household: string;
  source: string;
  crop: string | null;
  variety?: string | null;
  plot?: string | null;
  planting_area_code?: string | null;
  /** Nothing starts it by itself before. */
  suspended_until?: number | null;
  moisture: number | null;
  moisture_at: number | null;
  soil: Soil;
  /** Its water is counted: there is a balance to ask for. */
  has_balance: boolean;
  automatic: boolean;
  state: ZoneState;
  since: number | null;
  until: number | null;
  manual: boolean;
  waiting_for: Reason | null;
  last_reason: Reason | null;
  last_reason_at: number | null;
  last_event: string | null;
  probes: ProbeValue[];
  run_minutes_max: number;
  valve: { node: string; valve: number };
  /** Age in seconds from which the zone's moisture counts as old; a default applies when the gateway does not say. */
  fresh_s?: number | null;
}

export interface Node {
  id: string;
  label: string;
  online: boolean;
  last_seen: number | null;
  battery_mv: number | null;
  /** Its last boot that was no waking up from a sleep. */
  restart: { at: number; cause: string; epoch: number } | null;
  /** Restarts of the last day because something failed, and whether they are too many. */
  n_failed_restarts: number;
  restless: boolean;
  /** What its full memory gave up last, and ever. */
  lost: { n_records: number; from: number; to: number } | null;
  n_lost: number;
  kind: 'node' | 'station' | 'json';
  registered: boolean;
}

/** A time-series store outside that gets the history. */
export interface Sink {
  name: string;
  state: 'new' | 'ok' | 'away' | 'busy' | 'forbidden' | 'unknown' | 'rejecting';
  since: number;
  taken_at: number | null;
  waiting: number;
  oldest: number | null;
  refused: number;
}

/** A water source, with its pump or master valve as it was last confirmed, and the fault that waits for a person. */
export interface Source {
  id: string;
  name: string;
  /** Missing in what a gateway without pumps sends. */
  pump?: { kind: 'pump' | 'master_valve'; node: string; valve: number; state: string; why_not: Reason | null } | null;
  fault?: Reason | null;
}

/** How the history itself does. */
export interface StoreHealth {
  disk: { state: 'ok' | 'low' | 'full'; free_bytes: number };
  given_up: {
    at: number;
    used_bytes: number;
    allowed_bytes: number;
    readings_before: number | null;
    hours_before: number | null;
    over: boolean;
  } | null;
  mended: { at: number; lost: number; parts: string[]; file: string | null } | null;
  looked: { at: number; readings: number; damaged: number; parts: string[] } | null;
}

export interface Overview {
  now: number;
  clock_set: boolean;
  demo: { speed: number } | null;
  version: string;
  utc_offset_min: number;
  cooperative: string;
  sources: Source[];
  programs: { id: string; name: string }[];
  zones: Zone[];
  nodes: Node[];
  sinks: Sink[];
}

/** One stretch of a series: time, smallest, largest and mean value. */
export type HistoryPoint = [ms: number, min: number, max: number, mean: number];

export interface HistorySeries {
  device: string;
  metric: string;
  depth_cm: number | null;
  points: HistoryPoint[];
}

export interface Run {
  from: number;
  to: number | null;
  litres: number | null;
  manual: boolean;
  reason: Reason | null;
}

export interface History {
  from: number;
  to: number;
  soil: Soil;
  series: HistorySeries[];
  runs: Run[];
}

export interface DiaryEntry {
  id: number | string;
  at: number | null;
  zone: string | null;
  event: string;
  by: 'engine' | 'node' | 'person' | 'program' | 'rule';
  /** Who it was, or which program. */
  person: string | null;
  reason: Reason;
  run_s: number | null;
  litres: number | null;
}

/** What is watered by the calendar, and what people have set on top of it. */
export interface Program {
  id: string;
  name: string;
  enabled: boolean;
  /** Of the planned amounts, on top of the season. */
  adjust_percent: number;
  /** So many of the next starts are left out. */
  skip_next: number;
  suspended_until: number | null;
  /** Pauses and skips not counted. */
  next_start: number | null;
  /** The runs of its last start were planned to end then. */
  busy_until: number | null;
  /** Code of what is wrong with it: it does not start. */
  invalid: string | null;
}

export interface Programs {
  programs: Program[];
  rain_delay_until: number | null;
  suspended_until: number | null;
  /** No valve opens before; what ran goes on then. */
  water_paused_until: number | null;
}

/** Pauses of the whole farm: of starts because of rain or not, or of all water. */
export type PauseKind = 'rain' | 'farm' | 'water';

/** One opening of a valve. */
export interface PlannedRun {
  zone: string;
  from: number;
  until: number;
  /** What limits and hours changed. */
  notes: Reason[];
}

export interface PlannedStart {
  program: string;
  at: number;
  /** It has begun: what is open of it and what is still to come. */
  under_way: boolean;
  runs: PlannedRun[];
  /** What is left out; without a zone it is the whole start. */
  skipped: { zone: string | null; reason: Reason }[];
}

/** What the next days bring if nothing changes. */
export interface Preview {
  starts: PlannedStart[];
  /** Programs of which only the first starts are told. */
  cut_short: string[];
  short: Shortage[];
}

/** What a day has no room for. */
export interface Shortage {
  /** When the day begins. */
  day: number;
  program: string;
  zone: string;
  run_s: number;
  /** Null where no flow is stated. */
  litres: number | null;
}

export interface BacktestSum {
  runs: number;
  run_s: number;
  litres: number;
  /** Days on which the plants lacked water; null where nothing was read, or nobody knows when they do. */
  stress_days: number | null;
}

/** What would have been done, with the soil as it was read and with the soil that the trial's water would have made. */
export interface Backtest {
  really: BacktestSum;
  open: BacktestSum;
  closed: BacktestSum | null;
  /** Code of why there is no model of the soil. */
  no_bucket: string | null;
  assumed: string[];
}

/** What the soil of a zone lacks; depths in mm over its area. */
export interface Balance {
  lack_mm: number | null;
  available_mm: number | null;
  /** Code of what keeps it from being counted. */
  problem: string | null;
  n_guessed: number;
  crop_is_sourced: boolean;
  days: {
    date: string;
    et0_mm: number | null;
    et0_from: 'penman_monteith' | 'hargreaves' | 'guessed' | null;
    et_mm: number;
    rain_mm: number;
    irrigation_mm: number;
    lack_mm: number;
  }[];
}

/** A sentence in both languages. */
export interface Sentence {
  vi: string;
  en: string;
}

/** Why a zone was watered on a day, or why not. */
export interface Why {
  headline: Sentence;
  /** What a person can do; empty where nothing needs to be done. */
  remedy: Sentence;
  lines: { at: number | null; before: boolean; event: string; text: Sentence; remedy: Sentence }[];
  cut: boolean;
}

export interface Session {
  signed_in: boolean;
  /** True on a demonstration that anybody on this machine may use without signing in. */
  open: boolean;
}

/** One rule, and how it stands. */
export interface Rule {
  id: string;
  name: string;
  /** The condition as it is written. */
  when: string;
  enabled: boolean;
  /** What follows, as the gateway writes it: "start man-1 for 900 s". */
  then: Reason[];
  /** Whether the condition holds; null: a reading is missing or too old, or the rule is switched off. */
  holds: boolean | null;
  missing: string | null;
  /** It has fired and is not over. */
  active: boolean;
  /** It holds and will fire then if it goes on. */
  fires_at: number | null;
  fired_at: number | null;
  /** How often within a day. */
  fired_today: number;
  /** What it sees. */
  values: string;
}

/** When rules would have fired. */
export interface Rehearsal {
  from: number;
  to: number;
  /** All of them; the list may be shorter. */
  n_firings: number;
  firings: { at: number; rule: string; then: Reason[]; values: string }[];
}

/** RFC 9457 problem details, as far as the page uses them. */
export interface Problem {
  title?: string;
  status?: number;
  detail?: string;
  code?: string;
  args?: Record<string, number | string>;
}

/** One version of the farm's settings; 0 before the first. */
export interface FarmVersion {
  version: number;
  saved_at: number;
  by: string;
  origin: 'page' | 'command' | 'file' | '';
  file: string | null;
  note: string;
  in_force_at: number | null;
}

export interface FarmText extends FarmVersion {
  text: string;
  in_force: number;
  awaited_zones: string[];
  awaited_sources: string[];
}

export interface DiffLine {
  change: 'same' | 'added' | 'removed';
  before: number | null;
  after: number | null;
  text: string;
}

export interface FarmVersionText extends FarmVersion {
  text: string;
  diff: DiffLine[];
}

export interface DraftProblem {
  line: number | null;
  column: number | null;
  field: string;
  what: string;
}

/** What a draft of the farm would be. */
export interface Judgement {
  problems: DraftProblem[];
  diff: DiffLine[];
  needs_restart: string[];
  zones_added: string[];
  zones_removed: string[];
  removes_all: boolean;
}

/** A series of the history. */
export interface KnownSeries {
  device: string;
  metric: string;
  unit: string;
  at: number;
}

/** What the history has and can be taken away as. */
export interface HistoryChoice {
  time_zone: string;
  formats: string[];
  series: KnownSeries[];
}

export interface ChartAnswer {
  series: {
    device: string;
    metric: string;
    unit: string;
    /** Time, value (null breaks the line), quality unless good. */
    points: [at: number, value: number | null, quality: string | null][];
    n: number;
    n_flagged: number;
    thinned: boolean;
    n_damaged: number;
  }[];
}

/** What a series did in a span: null without a value. */
export type SpanCell = [mean: number, min: number, max: number, last: number, n: number, flagged: number, rise: number | null] | null;

export interface SpansAnswer {
  time_zone: string;
  bucket: string;
  series: { device: string; metric: string; unit: string }[];
  rows: [at: number, cells: SpanCell[]][];
  end: number;
  n_damaged: number;
}
