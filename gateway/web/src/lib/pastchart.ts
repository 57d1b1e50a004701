// Draws series of any kind with uPlot: one axis per unit, at the left and at the right, a band from smallest to largest where a point is
// a span. Lines end where nothing was measured. The caller owns the element and the words.
import uPlot from 'uplot';
import { nearest, ticks } from './chartdata';
import { axisLabel, formatNumber, type Lang } from './format';
import { decimalsOf, rangeOf, type Drawing } from './past';

/** Dark enough for sunlight, told apart by dashes too. */
const LINES: { color: string; band: string; dash: number[] }[] = [
  { color: '#0b5c38', band: 'rgb(11 92 56 / 16%)', dash: [] },
  { color: '#9a3c00', band: 'rgb(154 60 0 / 16%)', dash: [9, 4] },
  { color: '#5b21a6', band: 'rgb(91 33 166 / 16%)', dash: [3, 3] },
  { color: '#00636e', band: 'rgb(0 99 110 / 16%)', dash: [12, 3, 3, 3] },
  { color: '#8c0d3c', band: 'rgb(140 13 60 / 16%)', dash: [] },
  { color: '#0b4f9e', band: 'rgb(11 79 158 / 16%)', dash: [9, 4] },
  { color: '#5c5000', band: 'rgb(92 80 0 / 16%)', dash: [3, 3] },
  { color: '#3b4a42', band: 'rgb(59 74 66 / 16%)', dash: [12, 3, 3, 3] },
];

export const styleOf = (index: number): (typeof LINES)[number] => LINES[index % LINES.length] ?? LINES[0]!;

export interface PastOptions {
  lang: Lang;
  /** Minutes east of UTC at a moment. */
  offset: (ms: number) => number;
  from: number;
  to: number;
  width: number;
  height: number;
  /** Called with the moment and the values under the cursor, or null when it leaves. */
  onCursor: (point: { at: number; values: (number | null)[] } | null) => void;
}

const INK = '#0f1f17';
const GRID = '#dde4df';
const FONT = '13px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif';

export const unitsOf = (drawing: Drawing): string[] => [...new Set(drawing.lines.map((line) => line.unit))];

/** Draws into `target`; the returned chart is to be destroyed by the caller. */
export function drawPast(target: HTMLElement, drawing: Drawing, options: PastOptions): uPlot {
  const { lang, offset } = options;
  const units = unitsOf(drawing);
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  const data: unknown[] = [drawing.times];
  const columns: number[] = [];
  drawing.lines.forEach((line, i) => {
    const style = styleOf(i);
    const scale = `unit ${units.indexOf(line.unit)}`;
    columns.push(data.length);
    data.push(line.value);
    // A single value between two holes has no line: it is a dot.
    series.push({ scale, stroke: style.color, width: 2.2, dash: style.dash, points: { size: 5, fill: style.color } });
    if (!drawing.spans) return;
    data.push(line.min, line.max);
    series.push({ scale, width: 0, points: { show: false } }, { scale, width: 0, points: { show: false } });
    bands.push({ series: [series.length - 1, series.length - 2], fill: style.band });
  });
  const scales: uPlot.Scales = { x: { time: false, range: () => [options.from / 1000, options.to / 1000] } };
  units.forEach((unit, i) => {
    const range = rangeOf(drawing.lines, unit) ?? [0, 1];
    scales[`unit ${i}`] = { range: () => range };
  });
  const line = { font: FONT, stroke: INK, ticks: { stroke: GRID, width: 1 } };
  const middle = offset((options.from + options.to) / 2);
  const valueAxes = units.map(
    (unit, i): uPlot.Axis => ({
      ...line,
      scale: `unit ${i}`,
      side: i === 0 ? 3 : 1,
      size: 58,
      grid: { show: i === 0, stroke: GRID, width: 1 },
      label: unit === '' ? '' : unit,
      labelSize: unit === '' ? 0 : 18,
      labelFont: FONT,
      values: (_, splits) => splits.map((v) => formatNumber(lang, v, decimalsOf(v))),
    }),
  );
  return new uPlot(
    {
      width: options.width,
      height: options.height,
      padding: [10, units.length > 1 ? 0 : 14, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 9 } },
      series,
      bands,
      scales,
      axes: [
        {
          ...line,
          size: 34,
          grid: { stroke: GRID, width: 1 },
          splits: (u) =>
            ticks(options.from / 1000, options.to / 1000, middle, Math.max(2, Math.floor(u.bbox.width / uPlot.pxRatio / 54))).at,
          values: (_, splits) => splits.map((s) => axisLabel(lang, s * 1000, offset(s * 1000))),
        },
        ...valueAxes,
      ],
      hooks: {
        setCursor: [
          (u) => {
            const at = u.cursor.idx;
            const time = at === null || at === undefined ? undefined : u.data[0][at];
            if (at === null || at === undefined || time === undefined || (u.cursor.left ?? -1) < 0) {
              options.onCursor(null);
              return;
            }
            options.onCursor({ at: time * 1000, values: columns.map((column) => nearest(u.data[column], at, LOOK_BACK)) });
          },
        ],
      },
    },
    data as uPlot.AlignedData,
    target,
  );
}

/** Steps back over the points of other series, as many as can share one moment's neighbourhood. */
const LOOK_BACK = 24;
