// The way between the pages. Links of Zipkin's own UI lead to the same places.

import {h, show, notice} from './dom.js';
import {searchPage} from './search.js';
import {tracePage} from './trace.js';
import {dependencyPage} from './dependency.js';

let leave = new AbortController();

async function open() {
  leave.abort();
  leave = new AbortController();
  const {signal} = leave;
  const path = location.pathname.replace(/^\/zipkin\/?/, '').split('/');
  const page = path[0] === 'traces' && path[1] ? 'trace' : path[0] === 'dependency' ? 'dependency' : 'search';
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.page === page) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  try {
    if (page === 'trace') await tracePage(decodeURIComponent(path[1]), signal);
    else if (page === 'dependency') await dependencyPage(new URLSearchParams(location.search), signal, go);
    else await searchPage(new URLSearchParams(location.search), signal, go);
  } catch (error) {
    if (signal.aborted) return;
    show('Traces', `Failed: ${error.message}`, notice('bad', 'This did not work', error.message,
      h('button', {type: 'button', onclick: open}, 'Try again')));
  }
}

/** Goes to a page of ours without loading it anew. */
export function go(url, {replace = false} = {}) {
  history[replace ? 'replaceState' : 'pushState'](null, '', url);
  open();
}

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href^="/zipkin/"]');
  if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.hasAttribute('download')) return;
  event.preventDefault();
  go(link.getAttribute('href'));
  scrollTo(0, 0);
  document.getElementById('main').focus({preventScroll: true});
});
addEventListener('popstate', open);
document.getElementById('jump').addEventListener('submit', (event) => {
  event.preventDefault();
  const id = new FormData(event.target).get('id').trim().toLowerCase();
  event.target.reset();
  go(`/zipkin/traces/${id}`);
});
open();
