'use strict';
// Draws the charts of a report with uPlot. The data of a chart stands in the page, as JSON.

const dark = matchMedia('(prefers-color-scheme: dark)');
const plots = new Map(); // by the element that they are drawn in

function color(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

// short writes a number with three digits or so.
function short(v) {
  const a = Math.abs(v);
  const digits = x => String(+x.toPrecision(3));
  if (a >= 1e9) return digits(v / 1e9) + ' G';
  if (a >= 1e6) return digits(v / 1e6) + ' M';
  if (a >= 1e4) return digits(v / 1e3) + ' k';
  return digits(v);
}

// join puts the points of all lines on one axis. A line is null where it has no point.
function join(lines) {
  const at = [...new Set(lines.flatMap(l => l.points.map(p => p.x)))].sort((a, b) => a - b);
  return [at, ...lines.map(l => {
    const y = new Map(l.points.map(p => [p.x, p.y]));
    return at.map(x => y.get(x) ?? null);
  })];
}

// intervals draws the interval of each point that has one.
function intervals(lines) {
  return u => {
    const c = u.ctx;
    c.save();
    c.lineWidth = 1.5 * devicePixelRatio;
    c.setLineDash([]);
    lines.forEach((l, i) => {
      if (!u.series[i + 1].show) return;
      c.strokeStyle = color('--line' + i);
      for (const p of l.points) {
        if (!(p.high > p.low) || !(p.low > 0)) continue;
        const x = u.valToPos(p.x, 'x', true);
        c.beginPath();
        c.moveTo(x, u.valToPos(p.low, 'y', true));
        c.lineTo(x, u.valToPos(p.high, 'y', true));
        c.stroke();
      }
    });
    c.restore();
  };
}

function draw(box) {
  const chart = JSON.parse(box.querySelector('script').textContent);
  plots.get(box)?.destroy();
  const ink = { stroke: color('--soft'), grid: { stroke: color('--grid'), width: 1 }, ticks: { stroke: color('--grid'), width: 1 } };
  const span = ticks => [ticks[0].at, ticks[ticks.length - 1].at];
  const text = new Map(chart.x.ticks.map(t => [t.at, t.text]));
  const place = x => text.get(x) ?? (chart.x.percentile ? short(100 - 100 / x) : short(x));
  const lines = chart.lines;
  // Labels of an axis must not run into each other: those for which there is no room are left out.
  const narrow = box.clientWidth < 500;
  const labels = at => at.map((x, i) => narrow && at.length > 6 && i % 2 === 1 && i < at.length - 1 ? '' : text.get(x) ?? '');
  plots.set(box, new uPlot({
    width: Math.max(240, box.clientWidth), height: narrow ? 260 : 340,
    cursor: { drag: { x: false, y: false } },
    scales: {
      x: { time: false, distr: chart.x.log ? 3 : 1, range: () => span(chart.x.ticks.length > 1 ? chart.x.ticks : [{ at: chart.x.ticks[0].at / 2 }, { at: chart.x.ticks[0].at * 2 }]) },
      y: { distr: chart.y.log ? 3 : 1, range: () => span(chart.y.ticks) },
    },
    series: [
      { label: chart.x.name, value: (u, v) => v === null ? '–' : place(v) },
      ...lines.map((l, i) => ({
        label: l.name, stroke: color('--line' + i), width: 1.5, spanGaps: true, dash: l.smooth ? [6, 4] : undefined,
        points: { show: !l.smooth, size: 7, fill: color('--line' + i) },
        value: (u, v) => v === null ? '–' : short(v) + (chart.y.unit ? ' ' + chart.y.unit : ''),
      })),
    ],
    axes: [
      { ...ink, label: chart.x.name, labelSize: 22, splits: () => chart.x.ticks.map(t => t.at), filter: (u, all) => all, values: (u, all) => labels(all) },
      { ...ink, label: chart.y.name, labelSize: 22, size: 64, splits: () => chart.y.ticks.map(t => t.at), filter: (u, all) => all, values: (u, all) => chart.y.ticks.map(t => t.text) },
    ],
    hooks: { draw: [intervals(lines)] },
  }, join(lines), box));
}

function drawAll() { document.querySelectorAll('.plot').forEach(draw); }

drawAll();
dark.addEventListener('change', drawAll);
let width = innerWidth;
addEventListener('resize', () => {
  if (innerWidth === width) return; // the bars of a phone's browser come and go
  width = innerWidth;
  drawAll();
});
