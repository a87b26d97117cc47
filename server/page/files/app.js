'use strict';
// The pages of jobs and views. Each is a function that fills main and returns {refresh, end}; refresh
// is called every two seconds while the page is looked at, or as often as ?every=MS says.

const every = Math.max(100, Number(new URLSearchParams(location.search).get('every')) || 2000);
const main = document.getElementById('main');

// history has what the counters of each job were, so that rates can be drawn. It is kept while one
// goes from page to page.
const history = new Map();

function historyOf(job) {
  if (!history.has(job)) history.set(job, { last: null, rates: new Series(), lag: new Series() });
  return history.get(job);
}

// totalsOf adds up what the engines of a job have read. Plans of one engine read the same records.
function totalsOf(engines) {
  const t = { read: 0, filtered: 0, late: 0, quarantined: 0, shed: 0, written: 0, groups: 0, lag: null, state: 0 };
  for (const e of engines) {
    t.read += e.readers.reduce((n, r) => n + r.read, 0);
    for (const p of e.plans) {
      for (const k of ['filtered', 'late', 'quarantined', 'shed']) t[k] += p.records[k];
      t.written += p.output_rows; t.groups += p.groups; t.state += p.state_bytes;
    }
    for (const r of e.readers) for (const l of r.lag || []) if (l.bytes === undefined) t.lag = (t.lag || 0) + l.records;
  }
  return t;
}

// observe notes the counters of a job, and returns its rates.
function observe(job, engines) {
  const now = Date.now() / 1000, k = historyOf(job), t = totalsOf(engines);
  if (k.last && now - k.last.now < 0.5) return k;
  const rate = name => k.last && t[name] >= k.last.t[name] ? (t[name] - k.last.t[name]) / (now - k.last.now) : 0;
  if (k.last) {
    k.rates.add(now, { 'records/s': rate('read'), 'written/s': rate('written'), 'late/s': rate('late'), 'set aside/s': rate('quarantined') });
    if (t.lag !== null) k.lag.add(now, { lag: t.lag });
  }
  k.last = { now, t };
  return k;
}

const summaries = all => (all || []).map(e => e.summary).filter(e => e);

function neck(engines, big) {
  if (!engines.length) return h('span', { class: 'soft' }, '');
  // Of several engines, the one that is held up most says what is wrong.
  const most = [...engines].sort((a, b) => weight(b.bottleneck) - weight(a.bottleneck))[0];
  const worst = most.bottleneck, since = most.idle_since;
  return h(big ? 'p' : 'span', { class: 'neck ' + worst.limit + (big ? ' big' : ''), title: since ? 'since ' + clock(since) : '' }, worst.text);
}

function weight(b) { return (['none', 'unknown', 'input', 'idle'].includes(b.limit) ? 0 : 1) + b.share; }

function stateOf(j) { return h('span', { class: 'state ' + j.state.split(' ')[0], title: clock(j.since) }, j.state); }

// actionsOf are the buttons of what can be done in the state of a job.
function actionsOf(j, done) {
  const act = (name, text, enabled, kind) => h('button', { type: 'button', class: kind, disabled: !enabled, 'aria-label': text + ' ' + j.name, onclick: async e => {
    e.target.disabled = true;
    try {
      if (name === 'delete') {
        if (!await choose('Delete ' + j.name + '?', 'The job ends, and its text and its state are removed.', 'Delete')) { e.target.disabled = false; return; }
        await ask('DELETE', 'v1/jobs/' + encodeURIComponent(j.name));
      } else await ask('POST', 'v1/jobs/' + encodeURIComponent(j.name) + '/' + name);
      alertWith(null);
    } catch (x) { alertWith(x); }
    done(name);
  } }, text);
  const up = ['running', 'paused', 'starting', 'backing off'].includes(j.state);
  return [
    act('start', 'Start', ['stopped', 'failed', 'finished', 'backing off'].includes(j.state)),
    j.state === 'paused' ? act('resume', 'Resume', true) : act('pause', 'Pause', j.state === 'running'),
    act('stop', 'Stop', up),
    done.more ? act('checkpoint', 'Save', j.state === 'running') : null,
    done.more && j.replacement ? act('abort', 'Abort replacement', true) : null,
    done.more ? act('delete', 'Delete', true, 'bad') : null,
  ];
}

// jobsPage is the list of all jobs.
function jobsPage() {
  const list = h('div', { class: 'jobs' });
  const memory = h('span', { class: 'soft small' });
  fill(main, h('h1', {}, 'Jobs'), h('div', { class: 'row bar' }, h('a', { href: '#/editor' }, 'New job'), memory), list);
  const rows = new Map();
  async function refresh() {
    const [all, stats] = await Promise.all([ask('GET', 'v1/jobs'), ask('GET', 'v1/stats')]);
    memory.textContent = all.memory && all.memory.budget ? `${bytes(all.memory.taken)} of ${bytes(all.memory.budget)} are given to jobs` : '';
    if (!all.jobs.length) { rows.clear(); fill(list, h('p', { class: 'card empty' }, 'There are no jobs. The editor makes one, and so does velo apply FILE.')); return; }
    for (const j of all.jobs) {
      const engines = summaries((stats.engines || {})[j.name]);
      const k = observe(j.name, engines), rates = k.rates.values['records/s'] || [];
      // Of a row that is there only the cells change, so that the focus stays where it is.
      let row = rows.get(j.name);
      if (!row) {
        row = { cells: {}, state: '' };
        for (const c of ['state', 'rate', 'spark', 'neck', 'act']) row.cells[c] = h('div', { class: { state: '', rate: 'rate', spark: 'sparkbox', neck: 'neck', act: 'row act' }[c] });
        row.card = h('article', { class: 'card job', 'aria-label': j.name }, h('a', { class: 'name', href: '#/jobs/' + encodeURIComponent(j.name) }, j.name),
          row.cells.state, row.cells.rate, row.cells.spark, row.cells.neck, row.cells.act);
        rows.set(j.name, row);
      }
      fill(row.cells.state, stateOf(j));
      fill(row.cells.rate, document.createTextNode(engines.length && rates.length ? count(rates.at(-1)) + '/s' : ''));
      fill(row.cells.spark, rates.length > 1 ? spark(rates.slice(-60), 'records a second') : null);
      fill(row.cells.neck, j.state === 'running' && engines.length ? neck(engines) : h('span', { class: 'cause ' + (j.state === 'failed' ? 'bad' : 'soft'), title: j.cause || '' }, j.cause || ''));
      if (row.state !== j.state) { row.state = j.state; fill(row.cells.act, actionsOf(j, refresh)); }
    }
    const there = new Set(all.jobs.map(j => j.name));
    for (const name of rows.keys()) if (!there.has(name)) rows.delete(name);
    const cards = all.jobs.map(j => rows.get(j.name).card);
    if (cards.length !== list.children.length || cards.some((c, i) => list.children[i] !== c)) fill(list, cards);
  }
  return { refresh, end() {} };
}

// jobPage is one job.
function jobPage(name) {
  const path = 'v1/jobs/' + encodeURIComponent(name);
  const box = k => h('section', { class: 'card ' + (k || '') });
  const head = h('div', { class: 'row bar' }), sentence = h('div', { class: 'bar' }), engineBox = h('div', { class: 'grid' });
  const rateBox = h('div', { class: 'chart' }), lagBox = h('div', { class: 'chart' });
  const rateCard = h('section', { class: 'card wide' }, h('h2', {}, 'Throughput'), rateBox);
  const lagCard = box(), quarantine = box('wide'), events = box(), text = box();
  const rates = new Chart(rateBox, 'Records a second', count), lags = new Chart(lagBox, 'Records that wait', count);
  lagCard.append(h('h2', {}, 'Records that wait'), lagBox);
  lagCard.hidden = quarantine.hidden = true;
  fill(main, h('h1', {}, name), head, sentence, h('div', { class: 'grid' }, rateCard, lagCard), h('br'), engineBox, h('br'),
    h('div', { class: 'grid' }, quarantine, events, text));
  let state = '', shownText = null, seen = '', slow = 0;
  async function refresh() {
    const stats = await ask('GET', path + '/stats');
    const j = stats.job, engines = summaries(stats.engines), now = Date.now();
    const looks = j.state + (engines.length ? ' ' : '') + (j.replacement ? j.replacement.state : '');
    if (state !== looks) {
      state = looks;
      fill(head, stateOf(j), actionsOf(j, Object.assign(after => after === 'delete' ? (location.hash = '#/jobs') : refresh(), { more: true })), h('span', { class: 'soft small' }, 'since ' + clock(j.since) + (j.cause && j.cause.length < 100 && engines.length ? ': ' + j.cause : '')));
    }
    keepPlace(sentence, () => fill(sentence, engines.length ? neck(engines, true) : h('p', { class: 'scroll cause ' + (j.state === 'failed' ? 'bad' : 'soft'), tabindex: 0, role: 'region', 'aria-label': 'Cause' }, j.cause || 'It does not run.'), replacementLine(j, stats.replacement, now)));
    const k = observe(name, engines);
    lagCard.hidden = k.lag.times.length < 2;
    rateCard.hidden = !engines.length && k.rates.times.length < 2;
    rateCard.classList.toggle('wide', lagCard.hidden);
    if (k.rates.times.length > 1) rates.draw(k.rates);
    if (!lagCard.hidden) lags.draw(k.lag);
    keepPlace(engineBox, () => fill(engineBox, engines.map(e => engineCards(e, now)).flat()));
    if (slow++ % 3 === 0) {
      const q = engines.length ? await ask('GET', path + '/quarantine?limit=50') : { all: 0, rejects: [] };
      quarantine.hidden = !q.all;
      if (q.all) fill(quarantine, h('h2', {}, `${count(q.all)} records set aside; the newest`), table([{ name: 'time', w: true }, { name: 'source' }, { name: 'place' }, { name: 'reason', any: true }, { name: 'bytes' }],
        q.rejects.slice().reverse().map(x => [clock(x.time), x.source, x.place, x.reason, h('code', {}, x.bytes)])));
      const full = await ask('GET', path);
      if (full.text !== shownText) {
        shownText = full.text;
        fill(text, h('div', { class: 'row bar' }, h('h2', {}, 'Text'), h('span', { class: 'grow' }), h('button', { type: 'button', onclick: () => { draft.text = shownText; draft.name = name; draft.keep(); location.hash = '#/editor'; } }, 'Edit')), h('pre', {}, full.text || ''));
      }
      await showEvents();
    }
  }
  async function showEvents() {
    const all = (await ask('GET', path + '/events')).events;
    const key = all.length ? String(all.at(-1).id) : '';
    if (key === seen && events.children.length) return;
    seen = key;
    fill(events, h('h2', {}, 'Events'), all.length ? table([{ name: 'time', w: true }, { name: 'state', w: true }, { name: 'cause', any: true }], all.slice(-30).reverse().map(e => [clock(e.time), e.to || '', e.cause])) : h('p', { class: 'soft' }, 'none'));
  }
  return { refresh, end() { rates.end(); lags.end(); }, redraw() { if (historyOf(name).rates.times.length > 1) rates.draw(historyOf(name).rates); } };
}

// replacementLine says of the replacement that runs beside a job how far it is.
function replacementLine(j, engines, now) {
  if (!j.replacement) return null;
  const all = summaries(engines), read = all.reduce((n, e) => n + e.readers.reduce((m, r) => m + r.read, 0), 0);
  const lag = all.flatMap(e => e.readers).flatMap(r => r.lag || []);
  const r = j.replacement, failed = r.failures ? ` Failures in a row: ${r.failures}, the last: ${r.cause}.` : '';
  if (r.next) return h('p', { class: 'replacement' }, `A replacement is ${r.state}, and is started again at ${clock(r.next)}.${failed}`);
  return h('p', { class: 'replacement' }, `A replacement is ${r.state}, begun ${ago(r.since, now)}` +
    (all.length ? `: ${count(read)} records read` + (lag.length ? `, ${waiting(lag)} to go` : '') + '. It takes over when it has caught up.' : '.') + failed);
}

// engineCards are the cards of an engine: its plans, event time, threads, state.
function engineCards(e, now) {
  const cards = [];
  for (const p of e.plans) {
    const r = p.records;
    cards.push(h('section', { class: 'card' }, h('h2', {}, p.name || 'Query'), p.error ? h('p', { class: 'bad' }, p.error) : null, h('div', { class: 'numbers' },
      numberBox('read', count(r.read)), numberBox('counted', count(r.counted)), numberBox('filtered', count(r.filtered)),
      numberBox('late', count(r.late), r.late ? 'warn' : '', 'came after their window had closed'), numberBox('set aside', count(r.quarantined), r.quarantined ? 'warn' : '', 'could not be read'),
      r.shed ? numberBox('dropped', count(r.shed), 'bad', 'there was no memory') : null,
      numberBox('groups', count(p.groups)), numberBox('rows written', count(p.output_rows)), p.output_retries ? numberBox('writes repeated', count(p.output_retries), 'warn') : null, p.output_slow_calls ? numberBox('slow calls of the writer', count(p.output_slow_calls), 'warn') : null,
      p.windowed ? numberBox('windows closed up to', p.closed ? clock(p.closed) : '–') : null),
    h('p', { class: 'small soft' }, `memory ${bytes(p.state_bytes)} of ${bytes(p.state_limit_bytes)}`),
    meter([[p.state_limit_bytes ? p.state_bytes / p.state_limit_bytes : 0, p.state_bytes > 0.9 * p.state_limit_bytes ? 'var(--bad)' : 'var(--busy)', percent(p.state_bytes / (p.state_limit_bytes || 1))]], 'memory of the groups')));
  }
  cards.push(threadsCard(e));
  if (e.state) cards.push(stateCard(e, now));
  if (e.tables) cards.push(tablesCard(e, now));
  cards.push(readersCard(e, now));
  return cards;
}

// tablesCard has the tables that records are joined with.
function tablesCard(e, now) {
  return h('section', { class: 'card' }, h('h2', {}, 'Tables that are looked up'), e.tables.map(t => [
    h('h3', {}, t.name), h('div', { class: 'numbers' }, numberBox('rows', count(t.rows)), numberBox('loaded', ago(t.loaded, now), t.stale ? 'bad' : '', t.stale ? 'it is older than it may be' : ''),
      numberBox('looked up', count(t.lookups)), numberBox('not found', t.lookups ? percent(t.misses / t.lookups) : '–', t.misses ? 'warn' : '')),
    t.samples ? h('p', { class: 'small soft' }, 'not found: ' + t.samples.join(', ')) : null, t.error ? h('p', { class: 'bad small' }, t.error) : null]));
}

// waiting is what waits to be read of a reader: records, or bytes of files.
function waiting(lag) {
  if (!lag) return '–';
  return lag.some(l => l.bytes !== undefined) ? bytes(lag.reduce((n, l) => n + (l.bytes || 0), 0)) : count(lag.reduce((n, l) => n + l.records, 0));
}

// readersCard has a line for each reader. The one that holds windows back is marked.
function readersCard(e, now) {
  const p = e.plans.find(p => p.windowed) || { watermarks: [] };
  const marks = (p.watermarks || []).map(w => w.at && !w.idle ? new Date(w.at).getTime() : null);
  const most = Math.max(...marks.filter(m => m !== null), -Infinity);
  const body = e.readers.slice(0, 200).map((r, i) => {
    const w = (p.watermarks || [])[i] || {}, held = p.holds === i;
    const after = marks[i] === undefined || marks[i] === null ? null : (most - marks[i]) / 1000;
    return h('tr', { class: held ? 'held' : '' }, h('td', {}, r.name, r.error ? h('div', { class: 'bad small' }, r.error) : null), h('td', {}, r.state), h('td', { class: 'n' }, count(r.read)),
      h('td', { class: 'n' }, waiting(r.lag)),
      p.windowed ? [h('td', { class: 'w' }, w.idle ? 'idle' : clock(w.at)), h('td', { class: 'n' }, after === null ? '–' : after > 0 ? span(after) : 'first'), h('td', { class: 'w' }, held ? 'holds windows back' : '')] : null);
  });
  return h('section', { class: 'card wide' }, h('h2', {}, p.windowed ? 'Readers and event time' : 'Readers'), h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Readers' }, h('table', {},
    h('thead', {}, h('tr', {}, h('th', {}, 'split'), h('th', {}, 'state'), h('th', { class: 'n' }, 'read'), h('th', { class: 'n' }, 'waiting'),
      p.windowed ? [h('th', {}, 'watermark'), h('th', { class: 'n' }, 'after the first by'), h('th', {}, '')] : null)),
    h('tbody', {}, body))), e.readers.length > 200 ? h('p', { class: 'soft small' }, `and ${e.readers.length - 200} more`) : null);
}

const causeColors = { ring_full: 'var(--stall)', output_full: 'var(--bad)', windows_held_back: '#7c3aed', memory_not_ready: '#db2777', quarantine_full: '#db2777', epoch_awaited: '#7c3aed', mark_missing: '#64748b' };
const causeTexts = { ring_full: 'a partition is full', output_full: 'waits for the writer', windows_held_back: 'windows are held back', memory_not_ready: 'waits for memory', quarantine_full: 'the quarantine is full', epoch_awaited: 'waits for an epoch', mark_missing: 'waits for marks', no_input: 'nothing to do' };

// threadsCard says what each agent did in the last seconds.
function threadsCard(e) {
  const agents = e.agents.slice().sort((a, b) => b.busy - a.busy).slice(0, 64);
  return h('section', { class: 'card' }, h('h2', {}, 'What threads did in the last seconds'), h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Threads' }, h('table', {},
    h('thead', {}, h('tr', {}, h('th', {}, 'agent'), h('th', {}, 'CPU'), h('th', { class: 'n' }, 'busy'), h('th', {}, ''), h('th', {}, 'otherwise'))),
    h('tbody', {}, agents.map(a => {
      const waits = Object.entries(a.stalls || {}).sort((x, y) => y[1] - x[1]);
      const run = e.runners[a.runner] || {};
      const first = waits.find(([c, part]) => part >= 0.02);
      return h('tr', {}, h('td', { class: 'w' }, a.name, a.functions ? h('div', { class: 'warn small' }, 'slow functions: ' + a.functions) : null), h('td', {}, run.cpu >= 0 ? run.cpu : 'any'), h('td', { class: 'n' }, percent(a.busy)),
        h('td', {}, meter([[a.busy, 'var(--busy)', 'busy ' + percent(a.busy)], ...waits.filter(([c]) => causeColors[c]).map(([c, part]) => [part, causeColors[c], causeTexts[c] + ' ' + percent(part)])], a.name)),
        h('td', { class: 'soft w' }, first ? (causeTexts[first[0]] || first[0]) + ' ' + percent(first[1]) : ''));
    })))), e.runners.some(r => r.pin_error) ? h('p', { class: 'warn small' }, 'Not pinned: ' + e.runners.find(r => r.pin_error).pin_error) : null);
}

// chosenSave is the save that one reads about, of each engine.
const chosenSave = {};

// stateCard has the saves as a strip: a bar for each, as high as it took long.
function stateCard(e, now) {
  const s = e.state, longest = Math.max(...s.saves.map(x => x.seconds), 0.001);
  const said = h('p', { class: 'small soft', 'aria-live': 'polite' }, s.saves.length ? 'Choose a bar to read about a save.' : 'Nothing has been saved yet.');
  const strip = h('div', { class: 'strip', role: 'group', 'aria-label': 'Saves, the newest at the right' }, s.saves.map(x => {
    const text = x.error ? `${clock(x.at)}: failed after ${span(x.seconds)}: ${x.error}` : `${clock(x.at)}: generation ${x.generation}, ${span(x.seconds)}, ${span(x.disk_seconds)} of it the disk; ${bytes(x.bytes)}, ${bytes(x.written_bytes)} written`;
    const b = h('button', { type: 'button', class: x.error ? 'failed' : '', title: text, 'aria-label': text, onclick: () => { chosenSave[e.name] = x.at; said.textContent = text; } });
    if (chosenSave[e.name] === x.at) said.textContent = text;
    b.style.height = (8 + 46 * x.seconds / longest).toFixed(0) + 'px';
    return b;
  }));
  return h('section', { class: 'card' }, h('h2', {}, 'Saved state'), h('div', { class: 'numbers' },
    numberBox('last saved', ago(s.saved, now), s.saved && (now - new Date(s.saved)) / 1000 > 3 * s.interval_seconds + 60 ? 'warn' : ''), numberBox('every', span(s.interval_seconds)), numberBox('size', bytes(s.bytes)),
    numberBox('failures in a row', String(s.failures), s.failures ? 'bad' : ''), s.restored ? numberBox('caught up', s.caught_up ? 'yes' : 'not yet', s.caught_up ? '' : 'warn') : null),
  s.error ? h('p', { class: 'bad small' }, s.error) : null,
  s.saving && (now - new Date(s.saved)) / 1000 > 3 * s.interval_seconds + 60 ? h('p', { class: 'warn small' }, `A save has been under way since ${clock(s.saving)}; nothing is saved since generation ${s.generation}.`) : null,
  strip, said);
}

// viewsPage shows the rows of a view as they change.
function viewsPage(chosen) {
  const list = h('select', { 'aria-label': 'View', onchange: e => { location.hash = '#/views/' + encodeURIComponent(e.target.value); } });
  const filter = h('input', { type: 'search', placeholder: 'filter rows', 'aria-label': 'Filter rows', size: 16 });
  const live = h('input', { type: 'checkbox', checked: true });
  const info = h('p', { class: 'soft small' }), body = h('div', {});
  fill(main, h('h1', {}, 'Views'), h('div', { class: 'row bar' }, list, filter, h('label', {}, live, 'live')), info, h('section', { class: 'card' }, body));
  const past = new Map(); // of each row: the values of its numbers
  let names = '';
  async function refresh() {
    const all = (await ask('GET', 'v1/views')).views;
    const now = all.map(v => v.name).join('\n');
    if (now !== names) {
      names = now;
      fill(list, all.map(v => h('option', { value: v.name }, v.name)));
      if (!chosen && all.length) chosen = all[0].name;
      if (chosen) list.value = chosen;
    }
    const v = all.find(v => v.name === chosen);
    if (!v) { fill(info); fill(body, h('p', { class: 'empty' }, all.length ? 'There is no such view.' : 'There are no views. CREATE MATERIALIZED VIEW name AS SELECT ... makes one.')); return; }
    if (!live.checked) return;
    const answer = await ask('GET', 'v1/views/' + encodeURIComponent(v.name) + '?limit=200', undefined, undefined, exact);
    const columns = answer.columns, rows = answer.rows.map(r => columns.map(c => r[c.name]));
    info.textContent = `${count(v.groups)} ${v.groups === 1 ? 'row' : 'rows'}${v.groups > rows.length ? `, ${rows.length} of them here` : ''}; epoch ${v.epoch}${v.comment ? '; ' + v.comment : ''}`;
    const keys = columns.map((c, i) => v.keys.includes(c.name) ? i : -1).filter(i => i >= 0);
    const words = filter.value.toLowerCase();
    const shown = words ? rows.filter(r => r.some(x => String(x).toLowerCase().includes(words))) : rows;
    fill(body, rows.length ? table(columns.flatMap((c, i) => numeric(c.type) && !keys.includes(i) ? [{ name: c.name, n: true }, { name: '' }] : [{ name: c.name, n: numeric(c.type) }]), shown.map(r => {
      const id = JSON.stringify(keys.length ? keys.map(i => r[i]) : r);
      let was = past.get(id);
      if (!was) { was = columns.map(() => []); past.set(id, was); }
      return columns.flatMap((c, i) => {
        if (!numeric(c.type) || keys.includes(i)) return [r[i] === null ? 'NULL' : r[i]];
        const v = r[i] === null ? null : Number(r[i]);
        was[i].push(v);
        if (was[i].length > 30) was[i].shift();
        return [r[i] === null ? 'NULL' : r[i], spark(was[i], c.name)];
      });
    })) : h('p', { class: 'empty' }, 'It has no rows yet.'));
    if (past.size > 2000) past.clear();
  }
  return { refresh, end() {} };
}

// Routes, the clock and the theme.

let current = null;

function route() {
  const [, page, ...rest] = location.hash.split('/');
  const argument = rest.length ? decodeURIComponent(rest.join('/')) : '';
  if (current) current.end();
  alertWith(null);
  for (const a of document.querySelectorAll('nav a')) {
    if (a.getAttribute('href') === '#/' + (page || 'jobs')) a.setAttribute('aria-current', 'page'); else a.removeAttribute('aria-current');
  }
  document.title = (argument ? argument + ' – ' : '') + 'velo';
  current = page === 'views' ? viewsPage(argument) : page === 'editor' ? editorPage() : argument ? jobPage(argument) : jobsPage();
  tick();
}

let ticking = 0;

async function tick() {
  const mine = ++ticking, page = current, link = document.getElementById('link');
  try {
    if (!document.hidden) {
      await page.refresh();
      link.textContent = '';
      link.className = '';
    }
  } catch (e) {
    if (mine === ticking) {
      if (e instanceof Refused) alertWith(e);
      else { link.textContent = 'no connection'; link.className = 'bad'; if (!(e instanceof TypeError)) throw e; }
    }
  } finally {
    main.dataset.ready = 'yes';
    setTimeout(() => { if (mine === ticking) tick(); }, every);
  }
}

const root = document.documentElement;
root.dataset.theme = localStorage.getItem('velo.theme') || '';
document.getElementById('theme').addEventListener('click', () => {
  const next = { '': 'dark', dark: 'light', light: '' }[root.dataset.theme];
  root.dataset.theme = next;
  localStorage.setItem('velo.theme', next);
  if (current && current.redraw) current.redraw();
});
document.getElementById('token').addEventListener('click', () => {
  const input = h('input', { type: 'password', value: token.get(), autocomplete: 'off', 'aria-label': 'Token', size: 36 });
  const box = h('dialog', {}, h('h2', {}, 'Token'), h('p', { class: 'small soft' }, 'Requests bear it. It is kept until this tab is closed.'),
    h('form', { method: 'dialog', class: 'row' }, input, h('button', { value: 'yes', class: 'main' }, 'Use it')));
  box.addEventListener('close', () => { if (box.returnValue === 'yes') { token.set(input.value.trim()); route(); } box.remove(); });
  document.body.append(box);
  box.showModal();
});
window.addEventListener('hashchange', () => { route(); main.focus(); });
document.addEventListener('visibilitychange', () => { if (!document.hidden) tick(); });
window.addEventListener('resize', () => { if (current && current.redraw) current.redraw(); });
route();
