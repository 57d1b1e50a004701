// Geometry of the bar on a zone's card: dry at the left, wet at the right, whatever the unit. Pure.

export interface Gauge {
  /** Ends of the bar, in the unit of the probes: left and right. */
  low: number;
  high: number;
  /** Places on the bar, 0 to 100. */
  start: number;
  stop: number;
  value: number | null;
}

/** The bar spans the target band and as much again on both sides, inside 0–100 for moisture and above 0 for tension; the value
 * stays on the bar. Where a high number is dry (`start` above `stop`), the bar is mirrored. */
export function gauge(value: number | null, start: number, stop: number): Gauge {
  const mirrored = start > stop;
  const [least, most] = mirrored ? [stop, start] : [start, stop];
  const margin = Math.max(most - least, 4);
  const low = Math.max(0, least - margin);
  const high = Math.min(mirrored ? Infinity : 100, Math.max(most + margin, low + 1));
  const place = (at: number): number => {
    const share = Math.min(100, Math.max(0, ((at - low) / (high - low)) * 100));
    return mirrored ? 100 - share : share;
  };
  return {
    low: mirrored ? high : low,
    high: mirrored ? low : high,
    start: place(start),
    stop: place(stop),
    value: value === null ? null : place(value),
  };
}
