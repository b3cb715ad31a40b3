// A line through all charts of a run at the second under the pointer, and the
// numbers of that second, which are in the table below. Nothing needs it.
'use strict';
for (const run of document.querySelectorAll('.run')) {
  const rows = new Map();
  for (const row of run.querySelectorAll('.seconds tr[data-at]')) rows.set(Math.floor(Number(row.dataset.at)), row);
  const readout = run.querySelector('.readout');
  const plots = [...run.querySelectorAll('figure:not(.time) svg.plot')];
  if (!readout || rows.size === 0) continue;
  const [from, to] = run.querySelector('.strip').dataset.range?.split(' ').map(Number) ?? [];
  const lines = plots.map((plot) => {
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
    line.setAttribute('class', 'cursor');
    line.setAttribute('y1', '0');
    line.setAttribute('y2', '100%');
    line.setAttribute('visibility', 'hidden');
    plot.append(line);
    return line;
  });
  const show = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const at = from + (event.clientX - box.left) / box.width * (to - from);
    const row = rows.get(Math.floor(at));
    for (const line of lines) {
      const x = `${100 * (Math.floor(at) + 0.5 - from) / (to - from)}%`;
      line.setAttribute('x1', x);
      line.setAttribute('x2', x);
      line.setAttribute('visibility', row ? 'visible' : 'hidden');
    }
    if (!row) return;
    const [second, requests, failed, , p50, p99, max] = [...row.cells].map((c) => c.textContent);
    readout.textContent = `${second}  ${requests} requests, ${failed} failed, p50 ${p50}, p99 ${p99}, max ${max} ms`;
  };
  const hide = () => {
    for (const line of lines) line.setAttribute('visibility', 'hidden');
    readout.textContent = '';
  };
  for (const plot of plots) {
    plot.addEventListener('pointermove', show);
    plot.addEventListener('pointerleave', hide);
  }
}
addEventListener('beforeprint', () => {
  for (const d of document.querySelectorAll('details:not(.seconds)')) d.open = true;
});
