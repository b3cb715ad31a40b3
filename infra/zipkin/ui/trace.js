// One trace as a waterfall: a row per call, with both sides of it.

import {h, show, notice, dot, hue} from './dom.js';
import * as api from './api.js';
import {duration, moment, count} from './format.js';
import {rows, summary, failed} from './model.js';

export async function tracePage(id, signal) {
  show('Trace', 'Loading', h('p', {class: 'quiet'}, 'Loading…'));
  let spans;
  try {
    spans = await api.trace(id, signal);
  } catch (error) {
    if (error.status !== 404) throw error;
    show('No such trace', 'Not found', h('h1', {}, 'No such trace'), notice('', id,
      'Nothing of this trace is stored: it was not sampled, has not been reported yet, or had to make room for newer ones.',
      h('p', {}, h('a', {href: '/zipkin/'}, 'Search'))));
    return;
  }
  const about = summary(spans);
  const list = rows(spans);
  show(`${about.root.service} ${about.root.name}`, `Trace with ${count(spans.length, 'span')} loaded`,
    head(about, list), waterfall(list, about));
}

function head(about, list) {
  const fact = (name, ...value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));
  return [
    h('h1', {}, dot(about.root.service), about.root.service, ' ', h('span', {class: 'name'}, about.root.name)),
    h('dl', {class: 'summary'},
      fact('Duration', duration(about.duration)),
      fact('Started', about.start ? h('time', {datetime: new Date(about.start / 1000).toISOString()}, moment(about.start)) : 'unknown'),
      fact('Spans', String(about.spans)),
      fact('Services', String(about.services.length)),
      fact('Depth', String(list.reduce((most, c) => Math.max(most, c.depth), 0) + 1)),
      fact('Errors', about.errors > 0 ? h('span', {class: 'badge bad'}, `✕ ${about.errors}`) : 'none'),
      fact('Retries', about.retries > 0 ? h('span', {class: 'badge'}, `↻ ${about.retries}`) : 'none'),
      fact('Trace id', h('code', {}, about.id))),
    h('div', {class: 'bar'},
      h('a', {href: `/api/v2/trace/${about.id}`, download: `trace-${about.id}.json`}, 'Download JSON'),
      h('span', {class: 'quiet'}, 'Same in the terminal: ', h('code', {}, `kitmesh trace ${about.id}`)),
      !about.complete && h('span', {class: 'badge'}, 'root missing: it is not reported yet, or its reporter died')),
  ];
}

function waterfall(list, about) {
  const body = h('tbody', {});
  const elements = new Map();
  for (const call of list) {
    const pair = rowOf(call, about, elements);
    elements.set(call, pair);
    body.append(pair.row, pair.details);
  }
  const all = (open) => {
    for (const pair of elements.values()) pair.setOpen(open);
  };
  return h('section', {'aria-labelledby': 'waterfall'},
    h('div', {class: 'bar'}, h('h2', {id: 'waterfall'}, 'Waterfall'),
      h('button', {type: 'button', onclick: () => all(true)}, 'Open all'),
      h('button', {type: 'button', onclick: () => all(false)}, 'Close all')),
    h('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Waterfall, scrollable'},
      h('table', {class: 'waterfall'},
        h('thead', {}, h('tr', {},
          h('th', {scope: 'col'}, 'Call'),
          h('th', {scope: 'col'}, 'Try, instance, breaker'),
          h('th', {scope: 'col', class: 'axis'}, h('span', {class: 'visually-hidden'}, 'Time line'),
            h('span', {class: 'ticks', 'aria-hidden': 'true'}, [0, 0.25, 0.5, 0.75].map((f) => h('span', {'--at': `${100 * f}%`}, duration(Math.round(f * (about.whole ?? 0))))))),
          h('th', {scope: 'col', class: 'number'}, 'Duration'))),
        body)));
}

/** The row of a call and the row with its details, closed. */
function rowOf(call, about, elements) {
  const id = `call-${call.id}`;
  const details = h('tr', {class: 'details', id, hidden: true}, h('td', {colspan: 4}));
  const open = h('button', {type: 'button', class: 'call', 'aria-expanded': 'false', 'aria-controls': id},
    dot(call.service),
    call.from && call.to && call.from !== call.to ? [h('span', {class: 'from'}, `${call.from} → `), h('strong', {}, call.to)] : h('strong', {}, call.service),
    ' ', h('span', {class: 'name'}, call.name));
  const setOpen = (on) => {
    if (on && !details.firstChild.hasChildNodes()) details.firstChild.append(sides(call, about));
    details.hidden = !on || row.hidden;
    open.setAttribute('aria-expanded', String(on));
  };
  open.addEventListener('click', () => setOpen(open.getAttribute('aria-expanded') !== 'true'));
  const row = h('tr', {class: call.failed ? 'bad' : '', 'data-depth': call.depth, '--depth': String(Math.min(call.depth, 24))},
    h('th', {scope: 'row'}, h('span', {class: 'tree'}, fold(call, elements), open)),
    h('td', {class: 'badges'}, badges(call)),
    h('td', {class: 'time'}, h('div', {class: 'track'}, bars(call, about))),
    h('td', {class: 'number'}, duration(call.start === undefined ? undefined : call.end - call.start)));
  return {row, details, setOpen, isOpen: () => open.getAttribute('aria-expanded') === 'true', folded: false};
}

/** The button that hides what is below a call. */
function fold(call, elements) {
  if (call.children.length === 0) return h('span', {class: 'fold', 'aria-hidden': 'true'}, '·');
  const button = h('button', {type: 'button', class: 'fold', 'aria-expanded': 'true', 'aria-label': `Calls below ${call.service} ${call.name}`}, '▾');
  button.addEventListener('click', () => {
    const pair = elements.get(call);
    pair.folded = !pair.folded;
    button.setAttribute('aria-expanded', String(!pair.folded));
    button.textContent = pair.folded ? '▸' : '▾';
    let deepest = Infinity; // rows deeper than this are folded away
    for (const [other, e] of elements) {
      const hidden = other.depth > deepest;
      if (!hidden) deepest = e.folded ? other.depth : Infinity;
      e.row.hidden = hidden;
      e.details.hidden = hidden || !e.isOpen();
    }
  });
  return button;
}

function badges(call) {
  return [
    call.failed && h('span', {class: 'badge bad', title: call.error || 'failed'}, '✕ error'),
    call.try !== undefined && h('span', {class: Number(call.try) > 1 ? 'badge warn' : 'badge'}, Number(call.try) > 1 ? `↻ try ${call.try}` : `try ${call.try}`),
    call.instance !== undefined && h('span', {class: 'badge'}, call.instance),
    call.breaker !== undefined && h('span', {class: `badge breaker ${call.breaker === 'closed' ? '' : 'warn'}`}, `breaker ${call.breaker}`),
    call.kind === 'PRODUCER' && h('span', {class: 'badge'}, 'sends'),
    call.kind === 'CONSUMER' && h('span', {class: 'badge'}, 'receives'),
  ];
}

/** The bars of a call: the client's pale, the server's solid within it. */
function bars(call, about) {
  return call.sides.filter((s) => s.timestamp && about.start).map((s, i) => h('span', {
    class: `span ${i === 0 && call.sides.length > 1 ? 'outer' : ''} ${failed(s) ? 'bad' : ''}`,
    '--from': `${(100 * (s.timestamp - about.start)) / about.whole}%`,
    '--width': `${(100 * (s.duration ?? 0)) / about.whole}%`,
    '--hue': hue(call.service),
    'aria-hidden': 'true',
  }));
}

function sides(call, about) {
  return h('div', {class: 'sides'}, call.sides.map((s) => h('section', {class: failed(s) ? 'bad' : ''},
    h('h3', {}, s.localEndpoint?.serviceName ?? 'unknown service', ' ', h('small', {}, s.kind ? s.kind.toLowerCase() : 'local work')),
    h('dl', {},
      pairOf('Began', s.timestamp && about.start ? `${duration(s.timestamp - about.start)} after the trace` : 'unknown'),
      pairOf('Took', duration(s.duration)),
      pairOf('Ran at', endpoint(s.localEndpoint)),
      s.remoteEndpoint && pairOf(s.kind === 'SERVER' || s.kind === 'CONSUMER' ? 'Called by' : 'Called', endpoint(s.remoteEndpoint)),
      pairOf('Span id', s.id), s.parentId && pairOf('Below', s.parentId)),
    s.tags && h('table', {class: 'tags'}, h('caption', {}, 'Tags'), h('tbody', {}, Object.entries(s.tags).map(([key, value]) =>
      h('tr', {class: key === 'error' ? 'bad' : ''}, h('th', {scope: 'row'}, key), h('td', {}, value || '(set)'))))),
    s.annotations && h('table', {class: 'tags'}, h('caption', {}, 'Events'), h('tbody', {}, s.annotations.map((a) =>
      h('tr', {}, h('th', {scope: 'row'}, about.start ? duration(a.timestamp - about.start) : moment(a.timestamp)), h('td', {}, a.value))))))));
}

const pairOf = (name, value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));

function endpoint(e) {
  if (!e) return 'unknown';
  const ip = e.ipv4 ?? (e.ipv6 && `[${e.ipv6}]`);
  const at = [ip, e.port].filter(Boolean).join(':');
  return [e.serviceName, at && `(${at})`].filter(Boolean).join(' ');
}
