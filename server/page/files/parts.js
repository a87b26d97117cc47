'use strict';
// Parts of the page that know nothing of jobs: elements, numbers, charts, requests.

// h makes an element. Texts are always texts, so nothing that the server says can be markup.
function h(tag, props, ...children) {
  const e = tag.startsWith('svg:') ? document.createElementNS('http://www.w3.org/2000/svg', tag.slice(4))
    : document.createElement(tag);
  for (const [k, v] of Object.entries(props || {})) {
    if (v === undefined || v === null || v === false) continue;
    if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
    else if (k === 'value' || k === 'checked' || k === 'disabled') e[k] = v;
    else e.setAttribute(k, v === true ? '' : v);
  }
  e.append(...children.flat(Infinity).filter(c => c !== null && c !== undefined && c !== false));
  return e;
}

function fill(node, ...children) { node.replaceChildren(...children.flat(Infinity).filter(c => c)); return node; }

// keepPlace replaces the content of a box, and puts the focus and what was scrolled back.
function keepPlace(box, replace) {
  const places = () => [...box.querySelectorAll('.scroll, .strip')];
  const focusable = () => [...box.querySelectorAll('a, button, input, [tabindex]')];
  const scrolled = places().map(e => [e.scrollLeft, e.scrollTop]), at = focusable().indexOf(document.activeElement);
  replace();
  places().forEach((e, i) => { if (scrolled[i]) [e.scrollLeft, e.scrollTop] = scrolled[i]; else if (e.classList.contains('strip')) e.scrollLeft = e.scrollWidth; });
  if (at >= 0) (focusable()[at] || document.body).focus({ preventScroll: true });
}

// count is a number in about three digits.
function count(n) {
  if (n === undefined || n === null || !isFinite(n)) return '–';
  const units = ['', ' k', ' M', ' G', ' T'];
  let i = 0;
  while (Math.abs(n) >= 1000 && i < units.length - 1) { n /= 1000; i++; }
  const digits = i === 0 ? (Number.isInteger(n) ? 0 : 1) : Math.abs(n) < 10 ? 2 : Math.abs(n) < 100 ? 1 : 0;
  return n.toFixed(digits) + units[i];
}

function bytes(n) {
  if (n === undefined || n === null) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  while (n >= 1024 && i < units.length - 1) { n /= 1024; i++; }
  return (i && n < 10 ? n.toFixed(1) : n.toFixed(0)) + ' ' + units[i];
}

// span is a duration in words.
function span(s) {
  if (s === undefined || s === null || !isFinite(s)) return '–';
  if (s < 0) return '−' + span(-s);
  if (s < 0.001) return '0 s';
  if (s < 1) return (1000 * s).toFixed(0) + ' ms';
  if (s < 60) return (s < 10 ? s.toFixed(1) : s.toFixed(0)) + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min ' + Math.round(s % 60) + ' s';
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.round(s % 3600 / 60) + ' min';
  return Math.floor(s / 86400) + ' d ' + Math.round(s % 86400 / 3600) + ' h';
}

function ago(time, now) { return time ? span((now - new Date(time)) / 1000) + ' ago' : '–'; }

function clock(time) { return time ? new Date(time).toISOString().replace('T', ' ').replace(/\.\d+Z$/, 'Z') : '–'; }

function percent(part) { return (100 * part).toFixed(part < 0.1 ? 1 : 0) + ' %'; }

// spark is a line of the last values, without axes.
function spark(values, label) {
  const svg = h('svg:svg', { class: 'spark', viewBox: '0 0 100 20', preserveAspectRatio: 'none', role: 'img', 'aria-label': label });
  const shown = values.filter(v => v !== null && isFinite(v));
  if (shown.length < 2) return svg;
  const low = Math.min(...shown), high = Math.max(...shown), range = high - low || 1;
  let d = '';
  values.forEach((v, i) => {
    if (v === null || !isFinite(v)) return;
    const x = 100 * i / (values.length - 1), y = high === low ? 10 : 18 - 16 * (v - low) / range;
    d += (d ? 'L' : 'M') + x.toFixed(1) + ' ' + y.toFixed(1);
  });
  svg.append(h('svg:path', { d }));
  return svg;
}

// meter is parts of a whole, side by side: [part, color, title].
function meter(parts, label) {
  const svg = h('svg:svg', { viewBox: '0 0 100 10', preserveAspectRatio: 'none', role: 'img', 'aria-label': label });
  let x = 0;
  for (const [part, color, title] of parts) {
    const w = Math.max(0, Math.min(100 - x, 100 * part));
    if (w <= 0) continue;
    svg.append(h('svg:rect', { x: x.toFixed(2), y: 0, width: w.toFixed(2), height: 10, fill: color }, h('svg:title', {}, title)));
    x += w;
  }
  return h('div', { class: 'meter' }, svg);
}

function numberBox(name, value, kind, title) {
  return h('div', { class: kind, title }, h('span', {}, name), h('b', {}, value));
}

// A series keeps the last values of some names, by time.
class Series {
  constructor(most = 300) { this.most = most; this.times = []; this.names = []; this.values = {}; }
  add(time, values) {
    for (const name of Object.keys(values)) {
      if (!this.values[name]) { this.names.push(name); this.values[name] = this.times.map(() => null); }
    }
    this.times.push(time);
    for (const name of this.names) this.values[name].push(values[name] ?? null);
    if (this.times.length > this.most) { this.times.shift(); for (const n of this.names) this.values[n].shift(); }
  }
}

const colors = ['#0d9488', '#d97706', '#7c3aed', '#dc2626', '#2563eb', '#65a30d', '#db2777', '#64748b'];

function style(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

// A Chart draws a Series, and goes on when the series does.
class Chart {
  constructor(box, label, format) { this.box = box; this.label = label; this.format = format; this.names = ''; this.plot = null; }
  draw(series) {
    const names = series.names.join('\n') + document.documentElement.dataset.theme + this.box.clientWidth;
    const data = [series.times, ...series.names.map(n => series.values[n])];
    if (this.plot && names === this.names) { this.plot.setData(data); return; }
    if (this.plot) this.plot.destroy();
    this.names = names;
    const axis = { stroke: style('--soft'), grid: { stroke: style('--line'), width: 1 }, ticks: { stroke: style('--line'), width: 1 } };
    this.plot = new uPlot({
      width: Math.max(220, this.box.clientWidth), height: 180, scales: { y: { range: (u, low, high) => [Math.min(0, low), high > low ? high * 1.05 : low + 1] } },
      series: [{ value: '{HH}:{mm}:{ss}' }, ...series.names.map((label, i) => ({
        label, stroke: colors[i % colors.length], width: 1.5, spanGaps: false, points: { show: false }, value: (u, v) => v === null ? '–' : this.format(v),
      }))],
      axes: [{ ...axis, values: '{HH}:{mm}:{ss}', space: 70 }, { ...axis, size: 62, values: (u, all) => all.map(v => this.format(v)) }],
    }, data, this.box);
    this.box.setAttribute('role', 'img');
    this.box.setAttribute('aria-label', this.label);
  }
  end() { if (this.plot) this.plot.destroy(); this.plot = null; }
}

// A Refused is an answer that says what is wrong.
class Refused extends Error {
  constructor(status, e) {
    super((e && e.message) || 'the server answered ' + status);
    this.status = status; this.code = e && e.code; this.hint = e && e.hint; this.faults = (e && e.faults) || [];
  }
}

const token = {
  get() { return sessionStorage.getItem('velo.token') || ''; },
  set(text) { if (text) sessionStorage.setItem('velo.token', text); else sessionStorage.removeItem('velo.token'); },
};

// exact keeps whole numbers that a number of the browser cannot hold as texts, for JSON.parse.
function exact(key, value, context) {
  return typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) && context ? context.source : value;
}

// ask asks the server and returns what it says as JSON.
async function ask(method, path, body, type, reviver) {
  const headers = { Accept: 'application/json' };
  if (token.get()) headers.Authorization = 'Bearer ' + token.get();
  if (body !== undefined) headers['Content-Type'] = type || 'text/plain; charset=utf-8';
  const r = await fetch(path, { method, headers, body, cache: 'no-store' });
  const text = await r.text();
  let json = null;
  try { json = JSON.parse(text, reviver); } catch (e) { /* what is no JSON has no more to say than its status */ }
  if (!r.ok) throw new Refused(r.status, json && json.error);
  return json;
}

function alertWith(e) {
  const box = document.getElementById('alert');
  if (!e) { box.textContent = ''; return; }
  let text = e.message + (e.hint ? '\n' + e.hint : '');
  for (const f of e.faults || []) if (f.message !== e.message) text += '\n' + f.message;
  if (e.status === 401 || e.status === 403) text += '\nThe button Token takes the token of your role.';
  box.textContent = text;
}

// choose asks the user, and returns whether the answer is yes.
function choose(title, text, yes, other) {
  return new Promise(done => {
    const box = h('dialog', {}, h('h2', {}, title), h('p', { class: 'small' }, h('pre', {}, text)),
      h('form', { method: 'dialog', class: 'row' }, h('button', { value: 'yes', class: 'bad' }, yes), other ? h('button', { value: 'other' }, other) : null, h('button', { value: 'no', autofocus: true }, 'Cancel')));
    box.addEventListener('close', () => { box.remove(); done(box.returnValue === 'other' ? 'other' : box.returnValue === 'yes'); });
    document.body.append(box);
    box.showModal();
  });
}

// table makes a table of rows of texts.
function table(columns, rows) {
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Result' }, h('table', {},
    h('thead', {}, h('tr', {}, columns.map(c => h('th', { class: c.n ? 'n' : '' }, c.name)))),
    h('tbody', {}, rows.map(r => h('tr', {}, r.map((v, i) => v instanceof Node ? h('td', {}, v) : h('td', { class: columns[i].n ? 'n' : columns[i].w ? 'w' : columns[i].any ? 'any' : '' }, String(v ?? 'NULL'))))))));
}

const numeric = type => /^(bigint|int|double|numeric|decimal|float)/.test(type || '');
