// A mesh on a machine without Java: an order is placed, and its trace found in
// the browser and in the terminal.

import {after, before, test} from 'node:test';
import assert from 'node:assert/strict';
import {execFile} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {promisify} from 'node:util';
import {browser, kitmesh} from './start.mjs';

const home = mkdtempSync(join(tmpdir(), 'kitmesh-browser-'));
const run = async (...args) => (await promisify(execFile)(kitmesh, args, {env: {...process.env, KITMESH_HOME: home}, timeout: 240_000, maxBuffer: 1 << 26})).stdout;

let mesh;
let chrome;
before(async () => {
  mesh = JSON.parse(await run('up', '--isolated', '--detach', '--instances', '2', '--rate', '0', '--zipkin', 'embedded', '--timeout', '3m', '-o', 'json'));
  chrome = await browser();
}, {timeout: 300_000});
after(async () => {
  await chrome?.close();
  await run('down');
  rmSync(home, {recursive: true, force: true});
});

/** Places an order as a customer does, who tries again while the mesh warms up. */
async function order() {
  const body = JSON.stringify({lines: [{sku: (await (await fetch(`${mesh.gateway}/v1/products`)).json()).products[0].sku, quantity: 1}]});
  for (const until = Date.now() + 60_000; Date.now() < until;) {
    const response = await fetch(`${mesh.gateway}/v1/orders`, {method: 'POST', body, headers: {'Content-Type': 'application/json', 'Idempotency-Key': crypto.randomUUID()}});
    const answer = await response.json();
    if (response.status === 201) return answer.trace_id ?? response.headers.get('X-Trace-Id');
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  return assert.fail('no order went through');
}

test('an order is traced through the mesh', async () => {
  const id = await order();
  const asTree = await run('trace', id);
  for (const service of ['gateway', 'orders', 'payments', 'inventory']) assert.match(asTree, new RegExp(`${service} ${service}\\.`), asTree);

  const page = await chrome.newPage();
  const troubles = [];
  page.on('console', (m) => { if (m.type() === 'error') troubles.push(m.text()); });
  page.on('request', (r) => { if (!r.url().startsWith(mesh.zipkin)) troubles.push(r.url()); });
  await page.goto(`${mesh.zipkin}/zipkin/?serviceName=orders`);
  await page.locator(`a[href="/zipkin/traces/${id}"]`).click();
  await page.getByRole('heading', {name: 'Waterfall'}).waitFor();
  const rows = page.getByRole('row');
  await rows.filter({hasText: /orders → payments/}).first().waitFor();
  await rows.filter({hasText: /gateway → orders/}).filter({hasText: /orders-\d/}).filter({hasText: 'breaker closed'}).filter({hasText: 'try 1'}).first().waitFor();
  if (process.env.SCREENSHOTS) await page.screenshot({path: `${process.env.SCREENSHOTS}/mesh-trace.png`, fullPage: true});
  await page.getByRole('link', {name: 'Dependencies'}).click();
  await page.getByRole('link', {name: 'Traces of payments', exact: true}).waitFor();
  if (process.env.SCREENSHOTS) await page.screenshot({path: `${process.env.SCREENSHOTS}/mesh-graph.png`, fullPage: true});
  assert.deepEqual(troubles, []);
  await page.close();
});
