// The page of the embedded Zipkin in a real browser: search, open, waterfall,
// dependencies; nothing off the origin, nothing on the console, accessible.
// Where Java and the jar are, the same on top of the real Zipkin's API.

import {after, before, test} from 'node:test';
import assert from 'node:assert/strict';
import {mkdirSync, readFileSync} from 'node:fs';
import {accessible} from './accessible.mjs';
import {browser, collector, realZipkin} from './start.mjs';
import {shop} from './spans.mjs';

const screenshots = process.env.SCREENSHOTS;
if (screenshots) mkdirSync(screenshots, {recursive: true});

let chrome;
const backends = {};
const absent = realZipkin.absent(); // why the real one cannot run here
before(async () => {
  const server = await collector();
  backends.embedded = {url: server.url, stop: server.stop, traces: await shop(server.url)};
  if (!absent) {
    const real = await realZipkin();
    const page = await collector('--api', real.url);
    backends.real = {url: page.url, stop: async () => { await page.stop(); await real.stop(); }, traces: await shop(real.url)};
  }
  chrome = await browser();
});
after(async () => {
  await chrome?.close();
  for (const backend of Object.values(backends)) await backend.stop();
});

/** Runs steps on a page of its own, in light and in dark, and then holds it to what must never happen. */
function pages(name, steps, {width = 1280} = {}) {
  for (const [colorScheme, which] of [['light', 'embedded'], ['dark', 'embedded'], ['light', 'real']]) {
    test(`${name}, ${colorScheme}, ${which}`, {skip: which === 'real' && absent}, async () => {
      const {url: base, traces} = backends[which];
      const context = await chrome.newContext({colorScheme, viewport: {width, height: 860}, baseURL: base, acceptDownloads: true});
      const page = await context.newPage();
      const troubles = [];
      page.on('console', (m) => { if (['error', 'warning'].includes(m.type())) troubles.push(`console: ${m.text()}`); });
      page.on('pageerror', (e) => troubles.push(`exception: ${e.stack}`));
      page.on('request', (r) => { if (new URL(r.url()).origin !== base) troubles.push(`left the origin: ${r.url()}`); });
      page.on('requestfailed', (r) => { if (r.failure()?.errorText !== 'net::ERR_ABORTED') troubles.push(`failed: ${r.url()} ${r.failure()?.errorText}`); });
      await steps(page, {
        traces,
        expectTrouble: (pattern) => {
          const at = troubles.findIndex((t) => pattern.test(t));
          assert.notEqual(at, -1, `${pattern} in ${troubles}`);
          troubles.splice(at, 1);
        },
        look: async (view) => {
          if (screenshots) await page.screenshot({path: `${screenshots}/${name}-${view}-${colorScheme}-${which}.png`, fullPage: true});
          await accessible(page, `${name} ${view} ${colorScheme}`);
        },
      });
      assert.deepEqual(troubles, []);
      await context.close();
    });
  }
}

pages('search', async (page, {look}) => {
  await page.goto('/');
  assert.equal(new URL(page.url()).pathname, '/zipkin/');
  await page.getByRole('heading', {name: '20 traces'}).waitFor();
  await look('newest');

  await page.locator('select[name=serviceName]').selectOption('orders');
  await page.getByRole('heading', {name: '10 traces'}).waitFor();
  assert.deepEqual(await page.locator('select[name=remoteServiceName] option').allTextContents(), ['Any service', 'inventory', 'nats', 'payments', 'shipping']);
  await page.locator('select[name=spanName]').selectOption('inventory.reserve');
  await page.getByLabel('Tags').fill('try=2 and instance=inventory-3');
  await page.getByLabel('Lasting at least').fill('3ms');
  await page.getByRole('button', {name: 'Search'}).click();
  await page.getByRole('heading', {name: '1 trace', exact: true}).waitFor();
  const url = new URL(page.url());
  assert.equal(url.searchParams.get('annotationQuery'), 'try=2 and instance=inventory-3');
  await page.reload(); // the URL says it all
  await page.getByRole('heading', {name: '1 trace', exact: true}).waitFor();
  const line = page.getByRole('listitem').filter({hasText: 'post /v1/orders'});
  await line.getByText('✕ 1 error').waitFor();
  await line.getByText('✓ answered all the same').waitFor();
  await look('found');

  await page.getByLabel('Only with errors').check();
  await page.getByLabel('Tags').fill('no.such.tag');
  await page.getByRole('button', {name: 'Search'}).click();
  await page.getByRole('heading', {name: 'No traces match'}).waitFor();
  await look('nothing');

  await page.goto('/zipkin/?minDuration=soon');
  await page.getByRole('paragraph').filter({hasText: 'A duration is a number and a unit'}).waitFor();
  await page.goto(`/zipkin/?serviceName=payments&spanName=payments.authorise&lookback=15m&limit=5&annotationQuery=error`); // as Zipkin's own page links
  await page.getByRole('heading', {name: '1 trace', exact: true}).waitFor();
  await page.locator('select[name=lookback]').selectOption('range');
  await page.locator('input[name=from]').fill('2001-01-01T00:00:00');
  await page.locator('input[name=to]').fill('2001-01-02T00:00:00');
  await page.getByRole('button', {name: 'Search'}).click();
  await page.getByRole('heading', {name: 'No traces match'}).waitFor();
  await look('range');
});

pages('trace', async (page, {look, expectTrouble, traces}) => {
  await page.goto('/zipkin/?serviceName=orders&annotationQuery=try%3D2');
  await page.getByRole('link', {name: /edge post \/v1\/orders/}).click();
  await page.getByRole('heading', {level: 1, name: 'edge post /v1/orders'}).waitFor();
  assert.equal(new URL(page.url()).pathname, `/zipkin/traces/${traces.retried.id}`);

  const rows = page.getByRole('table').getByRole('row');
  const first = rows.filter({hasText: 'orders → inventory'}).nth(0);
  const second = rows.filter({hasText: 'orders → inventory'}).nth(1);
  for (const text of ['✕ error', 'try 1', 'inventory-1', 'breaker half-open', '4.10 ms']) await first.getByText(text, {exact: true}).waitFor();
  for (const text of ['↻ try 2', 'inventory-3', 'breaker closed']) await second.getByText(text, {exact: true}).waitFor();
  assert.equal(await second.getByText('✕ error').count(), 0);
  await look('waterfall');

  const red = await first.locator('.span').evaluate((e) => getComputedStyle(e).backgroundImage);
  assert.match(red, /repeating-linear-gradient/, 'an error has a shape of its own');

  await first.getByRole('button', {name: /orders → inventory/}).click();
  await page.getByRole('row', {name: 'error connection refused: inventory-1 is gone'}).waitFor();
  await page.getByRole('button', {name: 'Calls below shipping shipping.quote'}).click();
  assert.equal(await rows.filter({hasText: 'shipping → pricing'}).isVisible(), false);
  await page.getByRole('button', {name: 'Open all'}).click();
  await page.getByText('wire send').waitFor();
  assert.equal(await rows.filter({hasText: 'shipping → pricing'}).isVisible(), false, 'what is folded stays so');
  await look('details');

  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', {name: 'Download JSON'}).click()]);
  const spans = JSON.parse(readFileSync(await download.path(), 'utf8'));
  assert.equal(spans.length, traces.retried.spans.length);
  assert.equal(download.suggestedFilename(), `trace-${traces.retried.id}.json`);

  await page.getByRole('textbox', {name: 'Trace id'}).fill('dead');
  await page.getByRole('button', {name: 'Open', exact: true}).click();
  await page.getByRole('heading', {name: 'No such trace'}).waitFor();
  expectTrouble(/404/); // Chromium itself says so of any 404
  await look('missing');
  await page.goBack();
  await page.getByRole('heading', {level: 1, name: 'edge post /v1/orders'}).waitFor();
});

pages('dependencies', async (page, {look}) => {
  await page.goto('/zipkin/');
  await page.getByRole('link', {name: 'Dependencies'}).click();
  await page.getByRole('heading', {name: 'Dependencies'}).waitFor();
  const row = page.getByRole('row').filter({hasText: 'orders'}).filter({hasText: 'inventory'});
  await row.getByText('11', {exact: true}).waitFor(); // 10 orders, one of them with two tries
  await row.getByText('✕ 9.1 %').waitFor();
  await page.getByRole('link', {name: 'Traces of gateway', exact: true}).waitFor();
  const drawn = await page.locator('svg .edge').count();
  assert.equal(await page.locator('.links tbody tr').count(), drawn);
  await look('graph');
  const before = await page.locator('.graph svg').innerHTML();
  await page.reload();
  await page.getByRole('link', {name: 'Traces of gateway', exact: true}).waitFor();
  assert.equal(await page.locator('.graph svg').innerHTML(), before, 'the picture stays put');
  await page.getByRole('link', {name: 'Show traces of orders calling inventory'}).click();
  await page.getByRole('heading', {name: '10 traces'}).waitFor();
});

pages('narrow', async (page, {look, traces}) => {
  await page.goto(`/zipkin/traces/${traces.declined.id}`);
  await page.getByRole('heading', {name: 'Waterfall'}).waitFor();
  await look('waterfall');
  await page.goto('/zipkin/');
  await page.getByRole('heading', {name: '20 traces'}).waitFor();
  await look('search');
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page does not scroll sideways');
}, {width: 420});

test('a trace of 5,000 spans, deep and broken, can be browsed', async () => {
  const big = await collector();
  const now = Date.now() * 1000;
  const spans = [{traceId: 'b16', id: '1', name: 'root', timestamp: now, duration: 90_000, localEndpoint: {serviceName: 'root'}}];
  for (let i = 2; i <= 4000; i++) spans.push({traceId: 'b16', id: i.toString(16), parentId: (i > 2500 ? i % 50 + 1 : i - 1).toString(16), name: `work-${i}`, timestamp: now + i, duration: 5, localEndpoint: {serviceName: `s${i % 7}`}});
  for (let i = 4001; i <= 5000; i++) spans.push({traceId: 'b16', id: i.toString(16), parentId: (i === 5000 ? 4001 : i + 1).toString(16), name: `circle-${i}`, localEndpoint: {serviceName: 'circle'}});
  assert.equal((await fetch(`${big.url}/api/v2/spans`, {method: 'POST', body: JSON.stringify(spans)})).status, 202);
  const page = await chrome.newPage();
  page.on('pageerror', (e) => assert.fail(e));
  // By selector, not by role: roles of 100,000 elements take the browser longer than the page.
  const began = Date.now();
  await page.goto(`${big.url}/zipkin/traces/b16`);
  await page.locator('#waterfall').waitFor();
  const took = Date.now() - began;
  assert.equal(await page.locator('.waterfall tbody tr:not(.details)').count(), 5000);
  await page.locator('button.fold').first().click();
  assert.equal(await page.locator('.waterfall tbody tr:not(.details):not([hidden])').count(), 1001); // the root and the circle
  assert.ok(took < 20_000, `it took ${took} ms`);
  await page.close();
  await big.stop();
});

test('an empty collector says what to do', async () => {
  const empty = await collector();
  const page = await chrome.newPage();
  await page.goto(`${empty.url}/zipkin/`);
  await page.getByText(`${empty.url}/api/v2/spans`).waitFor();
  await page.goto(`${empty.url}/zipkin/dependency`);
  await page.getByText('No calls between services').waitFor();
  await page.close();
  await empty.stop();
});

test('what spans say is text, never markup', async () => {
  const evil = await collector();
  const name = '<img src=x onerror=alert(1)>';
  const response = await fetch(`${evil.url}/api/v2/spans`, {method: 'POST', body: JSON.stringify([
    {traceId: 'e1', id: '1', name, timestamp: Date.now() * 1000, duration: 5, localEndpoint: {serviceName: name}, remoteEndpoint: {serviceName: '"><script>alert(2)</script>'}, kind: 'CLIENT', tags: {[name]: name, error: name, instance: name}},
  ])});
  assert.equal(response.status, 202);
  const page = await chrome.newPage();
  page.on('dialog', () => assert.fail('a script ran'));
  for (const path of ['/zipkin/', '/zipkin/traces/e1', '/zipkin/dependency']) {
    await page.goto(evil.url + path);
    await page.locator('#main').getByText(name).filter({visible: true}).first().waitFor();
    assert.equal(await page.locator('img').count(), 0);
  }
  await page.close();
  await evil.stop();
});
