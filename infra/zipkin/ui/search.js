// The search page: a form whose values live in the URL, and what it found.

import {h, show, say, field, select, notice, dot, hue} from './dom.js';
import * as api from './api.js';
import {duration, parseDuration, moment, ago, count} from './format.js';
import {summary} from './model.js';

const lookbacks = [['1m', 'Last minute'], ['5m', 'Last 5 minutes'], ['15m', 'Last 15 minutes'], ['1h', 'Last hour'],
  ['6h', 'Last 6 hours'], ['12h', 'Last 12 hours'], ['1d', 'Last day'], ['7d', 'Last 7 days'], ['range', 'From … to …']];
const sorts = {
  newest: ['Newest first', (a, b) => (b.start ?? 0) - (a.start ?? 0)],
  longest: ['Longest first', (a, b) => (b.duration ?? 0) - (a.duration ?? 0)],
  errors: ['Most errors first', (a, b) => b.errors - a.errors || (b.start ?? 0) - (a.start ?? 0)],
  spans: ['Most spans first', (a, b) => b.spans - a.spans],
};

export async function searchPage(url, signal, go) {
  const results = h('div', {id: 'results'});
  const form = await searchForm(url, signal, go);
  show('Traces', 'Searching', h('h1', {class: 'visually-hidden'}, 'Search traces'), form, results);
  const [params, problem] = request(url);
  if (problem) {
    results.replaceChildren(notice('bad', 'Nothing was asked', problem));
    return say(problem);
  }
  results.replaceChildren(h('p', {class: 'quiet'}, 'Searching…'));
  const found = (await api.traces(params, signal)).map(summary);
  if (found.length === 0) {
    results.replaceChildren(nothing(url));
    return say('No traces found');
  }
  showResults(results, found, api.tracesPath(params));
  return say(`${count(found.length, 'trace')} found`);
}

/** The API's parameters for what the URL asks, or what is wrong with it. */
function request(url) {
  const get = (name) => url.get(name)?.trim() ?? '';
  const params = {limit: get('limit') || '20'};
  for (const name of ['serviceName', 'spanName', 'remoteServiceName', 'annotationQuery']) params[name] = get(name);
  for (const name of ['minDuration', 'maxDuration']) {
    if (!get(name)) continue;
    params[name] = parseDuration(get(name));
    if (!params[name]) return [params, `A duration is a number and a unit, like 5ms or 1.5s, not “${get(name)}”.`];
  }
  if (params.maxDuration && !params.minDuration) params.minDuration = 1;
  if (get('lookback') === 'range' || get('startTs')) {
    params.endTs = get('endTs') || Date.now();
    params.lookback = params.endTs - Number(get('startTs') || 0);
    if (!(params.lookback > 0)) return [params, 'The end of the time span is not after its beginning.'];
  } else {
    const token = get('lookback') || '1h';
    params.endTs = get('endTs') || Date.now();
    params.lookback = /^\d+$/.test(token) ? token : Math.round(parseDuration(token) / 1000);
  }
  return [params, undefined];
}

async function searchForm(url, signal, go) {
  const service = url.get('serviceName') ?? '';
  const names = async (load) => {
    try {
      return await load;
    } catch (error) {
      if (signal.aborted) throw error;
      return []; // the search itself says what is wrong
    }
  };
  const [services, spans, remotes] = await Promise.all([
    names(api.services(signal)),
    service ? names(api.spanNames(service, signal)) : [],
    service ? names(api.remoteServices(service, signal)) : [],
  ]);
  const choice = (name, list, any) => {
    const chosen = url.get(name) ?? '';
    const all = chosen && !list.includes(chosen) ? [chosen, ...list] : list;
    return select(name, [['', any], ...all.map((n) => [n, n])], chosen);
  };
  const serviceField = choice('serviceName', services, 'All services');
  const query = url.get('annotationQuery') ?? '';
  const terms = query.split(' and ').map((t) => t.trim()).filter(Boolean);
  const lookback = url.get('startTs') ? 'range' : url.get('lookback') ?? '1h';
  const local = (ms) => (ms ? new Date(Number(ms) - new Date(Number(ms)).getTimezoneOffset() * 60000).toISOString().slice(0, 19) : '');
  const range = h('fieldset', {class: 'range', hidden: lookback !== 'range'}, h('legend', {class: 'visually-hidden'}, 'Time span'),
    field('From', h('input', {type: 'datetime-local', step: 1, name: 'from', value: local(url.get('startTs') ?? Date.now() - 3600e3)})),
    field('To', h('input', {type: 'datetime-local', step: 1, name: 'to', value: local(url.get('endTs') ?? Date.now())})));
  const time = select('lookback', lookbacks.some(([v]) => v === lookback) ? lookbacks : [...lookbacks, [lookback, lookback]], lookback);
  time.addEventListener('change', () => { range.hidden = time.value !== 'range'; });
  const form = h('form', {class: 'search', role: 'search', 'aria-label': 'Search traces'},
    field('Service', serviceField),
    field('Span', choice('spanName', spans, 'All spans')),
    field('Calls to', choice('remoteServiceName', remotes, 'Any service')),
    field('Tags', h('input', {name: 'annotationQuery', value: terms.filter((t) => t !== 'error').join(' and '), placeholder: 'try=2 and instance=catalog-1', autocomplete: 'off', spellcheck: 'false'})),
    field('Lasting at least', h('input', {name: 'minDuration', value: url.get('minDuration') ?? '', placeholder: '5ms', size: 8, autocomplete: 'off'})),
    field('At most', h('input', {name: 'maxDuration', value: url.get('maxDuration') ?? '', placeholder: '1s', size: 8, autocomplete: 'off'})),
    field('Time', time), range,
    field('Limit', h('input', {name: 'limit', type: 'number', min: 1, max: 1000, value: url.get('limit') ?? '20'})),
    h('label', {class: 'check'}, h('input', {type: 'checkbox', name: 'error', checked: terms.includes('error')}), 'Only with errors'),
    h('button', {class: 'main'}, 'Search'));
  const submit = () => go(`/zipkin/?${formQuery(new FormData(form))}`);
  form.addEventListener('submit', (event) => { event.preventDefault(); submit(); });
  serviceField.addEventListener('change', () => { // the lists of names depend on it
    form.elements.spanName.value = '';
    form.elements.remoteServiceName.value = '';
    submit();
  });
  return form;
}

/** What the form holds as the query of a URL; defaults are left out. */
function formQuery(data) {
  const query = new URLSearchParams();
  const terms = [data.get('annotationQuery').trim(), data.get('error') ? 'error' : ''].filter(Boolean);
  const put = (name, value, unless = '') => { if (value && value !== unless) query.set(name, value); };
  put('serviceName', data.get('serviceName'));
  put('spanName', data.get('spanName'));
  put('remoteServiceName', data.get('remoteServiceName'));
  put('annotationQuery', terms.join(' and '));
  put('minDuration', data.get('minDuration').trim());
  put('maxDuration', data.get('maxDuration').trim());
  put('lookback', data.get('lookback'), '1h');
  if (data.get('lookback') === 'range') {
    put('startTs', String(new Date(data.get('from')).getTime()));
    put('endTs', String(new Date(data.get('to')).getTime()));
  }
  put('limit', data.get('limit'), '20');
  return query;
}

function nothing(url) {
  if ([...url.keys()].length === 0) {
    return notice('', 'No traces in the last hour', 'As soon as a service reports spans to this address, they appear here.',
      h('p', {}, 'Reporters post to ', h('code', {}, `${location.origin}/api/v2/spans`), '.'));
  }
  return notice('', 'No traces match', 'Look further back in time, or ask for less.', h('p', {}, h('a', {href: '/zipkin/'}, 'Start over')));
}

function showResults(results, found, path) {
  const list = h('ol', {class: 'traces'});
  const sort = select('sort', Object.entries(sorts).map(([key, [text]]) => [key, text]), 'newest');
  const fill = () => {
    const longest = Math.max(...found.map((t) => t.duration ?? 0), 1);
    list.replaceChildren(...found.toSorted(sorts[sort.value][1]).map((t) => resultLine(t, longest)));
  };
  sort.addEventListener('change', fill);
  fill();
  results.replaceChildren(
    h('div', {class: 'bar'}, h('h2', {}, count(found.length, 'trace')),
      h('a', {href: `/api/v2/${path}`, download: 'traces.json'}, 'Download JSON'),
      h('label', {class: 'inline'}, 'Sort ', sort)),
    list);
}

function resultLine(t, longest) {
  const share = Math.max(0.4, (100 * (t.duration ?? 0)) / longest);
  return h('li', {class: t.errors ? 'bad' : ''},
    h('a', {href: `/zipkin/traces/${t.id}`, class: 'line'},
      h('span', {class: 'what'}, dot(t.root.service), h('strong', {}, t.root.service), ' ', t.root.name),
      h('span', {class: 'took'}, duration(t.duration)),
      h('span', {class: 'strip', 'aria-hidden': 'true'}, h('span', {'--share': `${share}%`, '--hue': hue(t.root.service)}))),
    h('div', {class: 'facts'},
      t.start && h('time', {datetime: new Date(t.start / 1000).toISOString(), title: moment(t.start)}, ago(t.start)),
      h('span', {}, count(t.spans, 'span')),
      t.errors > 0 && h('span', {class: 'badge bad'}, `✕ ${count(t.errors, 'error')}`),
      t.errors > 0 && !t.rootFailed && h('span', {class: 'badge good'}, '✓ answered all the same'),
      t.retries > 0 && h('span', {class: 'badge'}, `↻ ${count(t.retries, 'retry', 'retries')}`),
      !t.complete && h('span', {class: 'badge'}, 'root missing'),
      h('span', {class: 'services'}, t.services.slice(0, 9).map(([name, n]) => h('span', {class: 'chip'}, dot(name), `${name} ${n}`)))));
}
