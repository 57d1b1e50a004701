// What people may ask for by hand: how long, how much, which zones. Pure: the farm's picture is an argument. The gateway judges
// every wish again; what is checked here spares a person a refusal.
import type { Zone } from './types';

/** Longest watering by hand that is noted, minutes: as much as the gateway takes. */
export const IRRIGATED_MINUTES_MAX = 1_440;
/** Most litres that are noted: a thousand cubic metres in a day are no hose's. */
export const IRRIGATED_LITRES_MAX = 1_000_000;

/** A whole number between two bounds. */
export const isWhole = (n: number | null, min: number, max: number): n is number =>
  n !== null && Number.isInteger(n) && n >= min && n <= max;

/** Longest run of a zone in whole minutes. */
export const minutesMost = (zone: Pick<Zone, 'run_minutes_max'>): number => Math.max(1, Math.floor(zone.run_minutes_max));

/** Minutes by which the run under way may still be made longer; null: no valve is known to be open. */
export function extensionMost(zone: Pick<Zone, 'run_minutes_max' | 'state' | 'since' | 'until'>): number | null {
  if (zone.state !== 'open' || zone.since === null || zone.until === null) return null;
  // A run of ten minutes is planned some seconds longer or shorter; the gateway lets a minute pass for that.
  const left = Math.round(zone.run_minutes_max - (zone.until - zone.since) / 60_000);
  return Math.max(0, Math.min(left, minutesMost(zone)));
}

/** Longest test of one valve, seconds: as much as the gateway takes. */
export const TEST_SECONDS_MAX = 600;
/** Between two valves of a test the gateway waits so long, s. */
const TEST_GAP_S = 90;

/** Whether nobody can start a zone at the moment, a person neither. */
export const isBarred = (zone: Pick<Zone, 'state'>): boolean => zone.state === 'locked' || zone.state === 'fault';

/** How long a test of so many valves takes, ms. */
export const testMs = (nZones: number, seconds: number): number => (nZones * seconds + Math.max(0, nZones - 1) * TEST_GAP_S) * 1000;

/** One zone of a set that is watered once. */
export interface OnceRun {
  zone: string;
  minutes: number;
}

/** Minutes that are offered for a zone. */
export const minutesUsual = (zone: Pick<Zone, 'run_minutes_max'>): number => Math.min(10, minutesMost(zone));

/** The chosen zones with their minutes, in the farm's order; null: none is chosen, or minutes are missing or not allowed. */
export function onceRuns(zones: Pick<Zone, 'id' | 'run_minutes_max'>[], minutes: Record<string, number | null>): OnceRun[] | null {
  const runs: OnceRun[] = [];
  for (const zone of zones) {
    const wanted = minutes[zone.id] ?? null;
    if (!isWhole(wanted, 1, minutesMost(zone))) return null;
    runs.push({ zone: zone.id, minutes: wanted });
  }
  return runs.length === 0 ? null : runs;
}
