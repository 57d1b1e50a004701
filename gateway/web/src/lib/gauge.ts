// Geometry of the moisture bar on a zone's card. Pure.

export interface Gauge {
  /** Ends of the bar, per cent of volume. */
  low: number;
  high: number;
  /** Places on the bar, 0 to 100. */
  start: number;
  stop: number;
  value: number | null;
}

/** The bar spans the target band and as much again on both sides, inside 0–100 %; the value stays on the bar. */
export function gauge(moisture: number | null, startBelow: number, stopAbove: number): Gauge {
  const margin = Math.max(stopAbove - startBelow, 4);
  const low = Math.max(0, startBelow - margin);
  const high = Math.min(100, Math.max(stopAbove + margin, low + 1));
  const place = (value: number): number => Math.min(100, Math.max(0, ((value - low) / (high - low)) * 100));
  return {
    low,
    high,
    start: place(startBelow),
    stop: place(stopAbove),
    value: moisture === null ? null : place(moisture),
  };
}
