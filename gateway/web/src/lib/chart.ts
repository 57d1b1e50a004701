// Draws a zone's history with uPlot: a line per probe, a thin band of its spread, both thresholds, and the runs shaded.
// Axis and cursor times are the farm's, not the browser's. The caller owns the element and the words.
import uPlot from 'uplot';
import { columns, nearest, range, ticks } from './chartdata';
import { axisLabel, formatNumber, type Lang } from './format';
import type { History } from './types';

/** Dark enough for sunlight, told apart by dashes too. */
export const LINES: { color: string; band: string; dash: number[] }[] = [
  { color: '#0b5c38', band: 'rgb(11 92 56 / 16%)', dash: [] },
  { color: '#9a3c00', band: 'rgb(154 60 0 / 16%)', dash: [9, 4] },
  { color: '#5b21a6', band: 'rgb(91 33 166 / 16%)', dash: [3, 3] },
  { color: '#00636e', band: 'rgb(0 99 110 / 16%)', dash: [12, 3, 3, 3] },
];

export const lineOf = (index: number): (typeof LINES)[number] => LINES[index % LINES.length] ?? LINES[0]!;

export interface ChartOptions {
  lang: Lang;
  offsetMin: number;
  width: number;
  height: number;
  /** Called with the moment and the values under the cursor, or null when it leaves. */
  onCursor: (point: { at: number; values: (number | null)[] } | null) => void;
}

const INK = '#0f1f17';
const GRID = '#dde4df';
const FONT = '13px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", Arial, sans-serif';

/** Whether probes measure anything that thresholds could be compared with. */
const isJudged = (history: History): boolean => history.series.length > 0;

/** The target band and the runs, behind the lines. */
function drawBehind(u: uPlot, history: History): void {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  if (isJudged(history)) {
    const { start, stop } = history.soil;
    const top = u.valToPos(Math.max(start, stop), 'y', true);
    const bottom = u.valToPos(Math.min(start, stop), 'y', true);
    ctx.fillStyle = 'rgb(11 92 56 / 7%)';
    ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
  }
  for (const run of history.runs) {
    const from = u.valToPos(run.from / 1000, 'x', true);
    const to = u.valToPos((run.to ?? history.to) / 1000, 'x', true);
    const width = Math.max(to - from, 2 * uPlot.pxRatio);
    ctx.fillStyle = 'rgb(11 79 158 / 22%)';
    ctx.fillRect(from, bbox.top, width, bbox.height);
    ctx.fillStyle = '#0b4f9e';
    ctx.fillRect(from, bbox.top + bbox.height - 5 * uPlot.pxRatio, width, 5 * uPlot.pxRatio);
  }
  ctx.restore();
}

/** The two thresholds with their values, over the lines. */
function drawThresholds(u: uPlot, history: History, lang: Lang): void {
  if (!isJudged(history)) return;
  const { ctx, bbox } = u;
  const px = uPlot.pxRatio;
  ctx.save();
  ctx.lineWidth = 1.5 * px;
  ctx.setLineDash([6 * px, 4 * px]);
  ctx.strokeStyle = INK;
  ctx.font = FONT.replace('13px', `600 ${12 * px}px`);
  // At the left: the right end is where the newest values are.
  ctx.textAlign = 'left';
  for (const [value, above] of [
    [Math.min(history.soil.start, history.soil.stop), false],
    [Math.max(history.soil.start, history.soil.stop), true],
  ] as const) {
    const y = Math.round(u.valToPos(value, 'y', true));
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.textBaseline = above ? 'bottom' : 'top';
    const text = `${formatNumber(lang, value, 1)} ${history.soil.unit}`;
    const x = bbox.left + 5 * px;
    ctx.fillStyle = 'rgb(255 255 255 / 85%)';
    const wide = ctx.measureText(text).width + 6 * px;
    ctx.fillRect(x - 3 * px, above ? y - 17 * px : y + 2 * px, wide, 15 * px);
    ctx.fillStyle = INK;
    ctx.fillText(text, x, above ? y - 3 * px : y + 4 * px);
  }
  ctx.restore();
}

function seriesOf(history: History, spread: boolean): { series: uPlot.Series[]; bands: uPlot.Band[] } {
  const series: uPlot.Series[] = [{}];
  const bands: uPlot.Band[] = [];
  history.series.forEach((_, i) => {
    const line = lineOf(i);
    series.push({ stroke: line.color, width: 2.2, dash: line.dash, points: { show: false } });
    if (!spread) return;
    // Two invisible edges between which uPlot fills the band.
    series.push({ width: 0, points: { show: false } }, { width: 0, points: { show: false } });
    bands.push({ series: [series.length - 1, series.length - 2], fill: line.band });
  });
  return { series, bands };
}

/** Draws into `target`; the returned chart is to be destroyed by the caller. */
export function draw(target: HTMLElement, history: History, options: ChartOptions): uPlot {
  const { lang, offsetMin } = options;
  const table = columns(history.series);
  const perProbe = table.spread ? 3 : 1;
  const data = [
    table.times,
    ...table.series.flatMap(({ mean, min, max }) => (table.spread ? [mean, min, max] : [mean])),
  ] as uPlot.AlignedData;
  const [low, high] = range(history);
  const span = { from: history.from / 1000, to: history.to / 1000 };
  const { series, bands } = seriesOf(history, table.spread);
  return new uPlot(
    {
      width: options.width,
      height: options.height,
      padding: [10, 14, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 9 } },
      series,
      bands,
      scales: {
        x: { time: false, range: () => [span.from, span.to] },
        y: { range: () => [low, high] },
      },
      axes: [
        {
          font: FONT,
          stroke: INK,
          size: 34,
          grid: { stroke: GRID, width: 1 },
          ticks: { stroke: GRID, width: 1 },
          splits: (u) => ticks(span.from, span.to, offsetMin, Math.max(2, Math.floor(u.bbox.width / uPlot.pxRatio / 54))).at,
          values: (_, splits) => splits.map((s) => axisLabel(lang, s * 1000, offsetMin)),
        },
        {
          font: FONT,
          stroke: INK,
          size: 46,
          grid: { stroke: GRID, width: 1 },
          ticks: { stroke: GRID, width: 1 },
          values: (_, splits) => splits.map((v) => `${formatNumber(lang, v, Number.isInteger(v) ? 0 : 1)}${history.soil.unit === '%' ? '%' : ''}`),
        },
      ],
      hooks: {
        drawClear: [(u) => drawBehind(u, history)],
        draw: [(u) => drawThresholds(u, history, lang)],
        setCursor: [
          (u) => {
            const at = u.cursor.idx;
            const time = at === null || at === undefined ? undefined : u.data[0][at];
            if (at === null || at === undefined || time === undefined || (u.cursor.left ?? -1) < 0) {
              options.onCursor(null);
              return;
            }
            const values = history.series.map((_, i) => nearest(u.data[1 + i * perProbe], at, LOOK_BACK));
            options.onCursor({ at: time * 1000, values });
          },
        ],
      },
    },
    data,
    target,
  );
}

/** Steps back over the points of other series, as many as can share one moment's neighbourhood. */
const LOOK_BACK = 12;
