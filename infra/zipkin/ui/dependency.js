// Who calls whom: a layered drawing that stays put, and the same as a table.

import {h, show, field, select, notice, dot, hue} from './dom.js';
import * as api from './api.js';
import {count} from './format.js';
import {layout} from './layout.js';

const spans = [['900000', 'Last 15 minutes'], ['3600000', 'Last hour'], ['21600000', 'Last 6 hours'], ['86400000', 'Last day'], ['604800000', 'Last 7 days']];

export async function dependencyPage(url, signal, go) {
  const lookback = url.get('lookback') ?? '86400000';
  const time = select('lookback', spans.some(([v]) => v === lookback) ? spans : [...spans, [lookback, `${lookback} ms`]], lookback);
  time.addEventListener('change', () => go(`/zipkin/dependency?lookback=${time.value}`));
  const content = h('div', {}, h('p', {class: 'quiet'}, 'Loading…'));
  show('Dependencies', 'Loading', h('h1', {}, 'Dependencies'), h('div', {class: 'bar'}, field('Time', time)), content);
  const links = await api.dependencies(url.get('endTs') ?? Date.now(), lookback, signal);
  links.sort((a, b) => (a.parent + '\n' + a.child < b.parent + '\n' + b.child ? -1 : 1));
  if (links.length === 0) {
    content.replaceChildren(notice('', 'No calls between services', 'Nothing was reported in this time, or each trace stays within one service.'));
    return;
  }
  content.replaceChildren(
    h('div', {class: 'scroll graph', tabindex: 0, role: 'region', 'aria-label': 'Graph of calls, scrollable'}, drawing(links)),
    table(links));
  document.getElementById('status').textContent = `${count(links.length, 'dependency', 'dependencies')} loaded`;
}

const rate = (link) => (link.errorCount ?? 0) / link.callCount;
const percent = (share) => (share === 0 ? '0 %' : share < 0.001 ? '< 0.1 %' : `${(100 * share).toFixed(1)} %`);

function drawing(links) {
  const plan = layout(links);
  const most = Math.max(...links.map((l) => l.callCount));
  const edges = plan.edges.map(({link, path}) => {
    const bad = rate(link) > 0;
    const thick = 1.25 + 2.75 * (Math.log1p(link.callCount) / Math.log1p(most));
    return h('g', {class: `edge ${bad ? 'bad' : ''}`},
      h('title', {}, `${link.parent} → ${link.child}: ${count(link.callCount, 'call')}, ${count(link.errorCount ?? 0, 'error')}`),
      h('path', {d: path, 'stroke-width': thick.toFixed(2), 'marker-end': `url(#${bad ? 'tip-bad' : 'tip'})`}));
  });
  const words = plan.edges.filter(({link}) => rate(link) > 0).map(({link, at}) =>
    h('text', {class: 'word', x: at.x, y: at.y - 5, 'text-anchor': 'middle'}, `✕ ${percent(rate(link))}`));
  const nodes = plan.nodes.map((n) => h('a', {svg: true, href: `/zipkin/?serviceName=${encodeURIComponent(n.name)}`, class: 'node', 'aria-label': `Traces of ${n.name}`},
    h('rect', {x: n.x, y: n.y, width: n.width, height: n.height, rx: 6}),
    h('rect', {x: n.x, y: n.y, width: 5, height: n.height, rx: 2, class: 'stripe', '--hue': hue(n.name)}),
    h('text', {x: n.x + n.width / 2 + 2, y: n.y + n.height / 2, 'text-anchor': 'middle', 'dominant-baseline': 'central'}, n.name)));
  const tip = (id, name) => h('marker', {id, class: name, viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: 'userSpaceOnUse', orient: 'auto'}, h('path', {d: 'M0 0 8 4 0 8Z'}));
  return h('svg', {viewBox: `0 0 ${plan.width} ${plan.height}`, width: plan.width, height: plan.height, role: 'group', 'aria-label': 'Services and the calls between them; the table below says the same'},
    h('defs', {}, tip('tip', 'tip'), tip('tip-bad', 'tip bad')), edges, nodes, words);
}

function table(links) {
  return h('table', {class: 'links'}, h('caption', {}, count(links.length, 'dependency', 'dependencies')),
    h('thead', {}, h('tr', {}, ['Caller', 'Called'].map((t) => h('th', {scope: 'col'}, t)),
      ['Calls', 'Errors', 'Error rate'].map((t) => h('th', {scope: 'col', class: 'number'}, t)), h('th', {scope: 'col'}, 'Traces'))),
    h('tbody', {}, links.map((l) => h('tr', {class: rate(l) > 0 ? 'bad' : ''},
      h('th', {scope: 'row'}, dot(l.parent), l.parent), h('td', {}, dot(l.child), l.child),
      h('td', {class: 'number'}, l.callCount.toLocaleString('en')),
      h('td', {class: 'number'}, (l.errorCount ?? 0).toLocaleString('en')),
      h('td', {class: 'number'}, rate(l) > 0 ? `✕ ${percent(rate(l))}` : percent(0)),
      h('td', {}, h('a', {href: `/zipkin/?serviceName=${encodeURIComponent(l.parent)}&remoteServiceName=${encodeURIComponent(l.child)}`, 'aria-label': `Show traces of ${l.parent} calling ${l.child}`}, 'Show'))))));
}
