'use strict';
// The editor: a text of SQL that is validated as one types, tried with pasted records, and applied.

const sample = `CREATE SOURCE trades (symbol text NOT NULL, price double precision, size bigint, at timestamp NOT NULL,
                      WATERMARK FOR at AS at - INTERVAL '5 s')
  WITH (connector = 'push');
CREATE MATERIALIZED VIEW volumes AS
  SELECT symbol, sum(size) AS volume, count(*) AS n FROM trades GROUP BY symbol;
`;

// draft is what is being written. It outlives a look at another page, and a reload.
const draft = {
  text: sessionStorage.getItem('velo.draft') ?? sample, name: sessionStorage.getItem('velo.name') ?? '',
  records: sessionStorage.getItem('velo.records') ?? '{"symbol":"AAPL","price":189.2,"size":100,"at":"2026-03-02T09:30:00Z"}\n',
  keep() {
    sessionStorage.setItem('velo.draft', this.text); sessionStorage.setItem('velo.name', this.name);
    sessionStorage.setItem('velo.records', this.records);
  },
};

// offsetOf is the place of a fault in the text of the browser, which counts in UTF-16.
function offsetOf(text, position) {
  if (!position) return 0;
  let at = 0;
  for (let line = 1; line < position.line; line++) {
    const next = text.indexOf('\n', at);
    if (next < 0) return text.length;
    at = next + 1;
  }
  const end = text.indexOf('\n', at) < 0 ? text.length : text.indexOf('\n', at);
  // Columns count characters.
  return Math.min(at + [...text.slice(at, end)].slice(0, position.column - 1).join('').length, text.length);
}

// wordAt is where the word ends that begins at a place.
function wordAt(text, at) {
  const word = /^(?:\w+|'[^'\n]*'?|"[^"\n]*"?|\S)/.exec(text.slice(at));
  return at + (word ? word[0].length : 0);
}

function editorPage() {
  const area = h('textarea', { spellcheck: 'false', autocapitalize: 'off', autocomplete: 'off', 'aria-label': 'SQL of the job', 'aria-describedby': 'faults', value: draft.text });
  const back = h('pre', { 'aria-hidden': 'true' });
  const faults = h('ul', { class: 'faults', id: 'faults', 'aria-live': 'polite' });
  const name = h('input', { 'aria-label': 'Name of the job', placeholder: 'name of the job', value: draft.name, size: 18, autocapitalize: 'off' });
  const source = h('select', { 'aria-label': 'Source of the records' });
  const records = h('textarea', { class: 'records', spellcheck: 'false', 'aria-label': 'Records', value: draft.records });
  const result = h('div', { 'aria-live': 'polite' });
  const tryIt = h('button', { type: 'button', class: 'main', onclick: attempt }, 'Try');
  const apply = h('button', { type: 'button', class: 'main', onclick: put }, 'Apply');
  let timer = 0, asked = 0, gone = false;

  function underline(all) {
    const text = area.value;
    const marks = all.filter(f => f.position).map(f => { const at = offsetOf(text, f.position); return [at, wordAt(text, at)]; }).sort((a, b) => a[0] - b[0]);
    const parts = [];
    let at = 0;
    for (const [from, to] of marks) {
      if (from < at) continue;
      parts.push(text.slice(at, from), h('mark', {}, text.slice(from, Math.max(to, from + 1)) || ' '));
      at = Math.max(to, from + 1);
    }
    parts.push(text.slice(at) + '\n');
    back.replaceChildren(...parts);
    back.scrollTop = area.scrollTop;
  }

  async function validate() {
    const mine = ++asked, text = area.value;
    let v;
    try { v = await ask('POST', 'v1/validate', text); } catch (e) { if (!gone && mine === asked) alertWith(e); return; }
    if (gone || mine !== asked) return; // it has been typed on
    const all = v.faults || [];
    underline(all);
    alertWith(null);
    fill(faults, v.ok ? h('li', { class: 'fine' }, 'No faults.') : all.map(f => h('li', {}, h('button', { type: 'button', onclick: () => {
      const at = offsetOf(area.value, f.position);
      area.focus();
      area.setSelectionRange(at, wordAt(area.value, at));
    } }, (f.position ? `line ${f.position.line}, column ${f.position.column}: ` : '') + f.message))));
    if (v.ok) {
      const was = source.value;
      const names = (v.objects || []).filter(o => o.kind === 'source').map(o => o.name);
      fill(source, names.map(n => h('option', { value: n }, n)));
      if (names.includes(was)) source.value = was;
    }
    apply.disabled = tryIt.disabled = !v.ok;
  }

  function typed() {
    draft.text = area.value;
    draft.keep();
    underline([]);
    clearTimeout(timer);
    timer = setTimeout(validate, 250);
  }

  async function attempt() {
    try {
      const r = await ask('POST', 'v1/try', JSON.stringify({ text: area.value, source: source.value, records: records.value }), 'application/json');
      alertWith(null);
      fill(result,
        h('p', { class: 'soft small' }, `${r.records} records of ${r.source} were read as ${r.format === 'ndjson' ? 'JSON' : 'CSV'}. This is what the job would write if nothing else ever came.`),
        r.rejects.length ? [h('h2', {}, `${r.rejects.length} could not be read`), table([{ name: 'line', n: true }, { name: 'reason', any: true }, { name: 'record', any: true }], r.rejects.map(x => [x.line || '–', x.reason, x.bytes]))] : null,
        r.outputs.map(o => [h('h2', {}, o.name || 'SELECT'),
          o.error ? h('p', { class: 'bad' }, o.error) : null,
          h('p', { class: 'soft small' }, `${o.counted} counted, ${o.filtered} filtered, ${o.late} late${o.more ? '; there are more rows' : ''}`),
          o.rows.length ? table(o.columns.map(c => ({ name: c.name, n: numeric(c.type) })), o.rows) : h('p', { class: 'soft' }, 'no rows')]).flat());
    } catch (e) { alertWith(e); }
  }

  async function put() {
    const to = 'v1/jobs/' + encodeURIComponent(name.value.trim());
    if (!name.value.trim()) { name.focus(); alertWith(new Error('The job needs a name: small letters, digits, _ and -.')); return; }
    try {
      let plan;
      try { plan = await ask('PUT', to + '?dry-run=true', area.value); } catch (e) {
        if (e.code !== 'state_lost') throw e;
        const drop = (e.hint || '').startsWith('drop=true'); // only queries are gone
        const choice = await choose('The state would be lost', e.message, drop ? 'Give up' : 'Begin anew', drop ? null : 'Side by side');
        if (!choice) return;
        await ask('PUT', to + (choice === 'other' ? '?side-by-side=true&wait=1s' : drop ? '?drop=true' : '?fresh=true'), area.value);
        location.hash = '#/jobs/' + encodeURIComponent(name.value.trim());
        return;
      }
      if (plan.done === 'replaced' && !await choose('Replace the job?', `${name.value.trim()} is stopped, its state is saved, and the new text goes on with it.`, 'Replace')) return;
      await ask('PUT', to, area.value);
      location.hash = '#/jobs/' + encodeURIComponent(name.value.trim());
    } catch (e) { alertWith(e); }
  }

  area.addEventListener('input', typed);
  area.addEventListener('scroll', () => { back.scrollTop = area.scrollTop; });
  area.addEventListener('keydown', e => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); attempt(); }
    if (e.key === 's' && (e.ctrlKey || e.metaKey)) { e.preventDefault(); put(); }
  });
  name.addEventListener('input', () => { draft.name = name.value; draft.keep(); });
  records.addEventListener('input', () => { draft.records = records.value; draft.keep(); });
  fill(document.getElementById('main'), h('h1', {}, 'Editor'), h('div', { class: 'editor' },
    h('section', { class: 'card', 'aria-label': 'Job' },
      h('div', { class: 'row bar' }, name, apply, h('span', { class: 'soft small' }, 'Ctrl+Enter tries, Ctrl+S applies')),
      h('div', { class: 'code' }, back, area), faults),
    h('section', { class: 'card', 'aria-label': 'Try' },
      h('h2', {}, 'Try records'), h('div', { class: 'row bar' }, source, tryIt, h('span', { class: 'soft small' }, 'JSON objects, one a line, or CSV')),
      records, result)));
  underline([]);
  validate();
  return { refresh() {}, end() { gone = true; clearTimeout(timer); } };
}
