// The report of chaos experiments, as its golden test writes it: read without a
// network, in the light and in the dark, on a phone, on paper, and by those who
// do not see it.

import {after, before, test} from 'node:test';
import assert from 'node:assert/strict';
import {mkdirSync} from 'node:fs';
import {accessible} from './accessible.mjs';
import {browser} from './start.mjs';

const screenshots = process.env.SCREENSHOTS;
if (screenshots) mkdirSync(screenshots, {recursive: true});
const report = (name) => new URL(`../../infra/chaos/report/testdata/${name}.html`, import.meta.url).href;

let chrome;
before(async () => { chrome = await browser(); });
after(() => chrome?.close());

/** Opens a report and runs f on it; whatever the browser refuses is a failure. */
async function open(name, options, f) {
  const context = await chrome.newContext(options);
  const page = await context.newPage();
  const troubles = [];
  page.on('console', (m) => troubles.push(m.text()));
  page.on('pageerror', (e) => troubles.push(e.message));
  page.on('request', (r) => { if (r.url() !== report(name)) troubles.push(r.url()); });
  await page.goto(report(name));
  await f(page);
  assert.deepEqual(troubles, []);
  await context.close();
}

for (const [name, colorScheme, width] of [
  ['one', 'light', 1440], ['several', 'light', 360], ['several', 'light', 1440], ['several', 'dark', 360], ['several', 'dark', 1440],
]) {
  test(`${name}, ${colorScheme}, ${width} px`, () => open(name, {colorScheme, viewport: {width, height: 900}}, async (page) => {
    if (screenshots) await page.screenshot({path: `${screenshots}/chaos-${name}-${colorScheme}-${width}.png`, fullPage: true});
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth) <= width, 'the page is wider than the screen');
    for (const details of await page.locator('details:not(.seconds) > summary').all()) await details.click();
    await accessible(page, `${name}, ${colorScheme}, ${width} px`);
  }));
}

test('two stacks stand side by side, with the same scales', () => open('several', {viewport: {width: 1440, height: 900}}, async (page) => {
  const [mesh, stock] = await Promise.all([0, 1].map((n) => page.locator('.run').nth(n)));
  for (let n = 0; n < 6; n++) {
    const [a, b] = [await mesh.locator('svg.plot').nth(n).boundingBox(), await stock.locator('svg.plot').nth(n).boundingBox()];
    assert.equal(a.y, b.y, `chart ${n} is not beside its twin`);
    assert.equal(a.height, b.height);
    assert.ok(Math.abs(a.width - b.width) < 1);
    assert.equal(await mesh.locator('svg.labels').nth(n).textContent(), await stock.locator('svg.labels').nth(n).textContent(), `the scales of chart ${n} differ`);
  }
}));

test('the numbers under the pointer are those of the table', () => open('one', {viewport: {width: 1200, height: 900}}, async (page) => {
  const plot = page.locator('svg.plot').nth(2);
  const box = await plot.boundingBox();
  await plot.hover({position: {x: box.width * 30.5 / 60, y: 20}});
  const row = (await page.locator('.seconds tr[data-at="30"] > *').allTextContents()).map((s) => s.trim());
  assert.equal(await page.locator('.readout').textContent(), `0:30  ${row[1]} requests, ${row[2]} failed, p50 ${row[4]}, p99 ${row[5]}, max ${row[6]} ms`);
  await page.mouse.move(0, 0);
  assert.equal(await page.locator('.readout').textContent(), '');
}));

test('charts have words, and traces a link', () => open('several', {}, async (page) => {
  await page.getByRole('img', {name: /Success per second.*fault 77\.\d+ %.*Lowest: 7\d\.\d+ % at 0:\d\d/}).waitFor();
  await page.getByRole('img', {name: /catalog-2 out of rotation for 20 s from 0:25, silent for 20 s/}).waitFor();
  assert.match(await page.locator('a[href*="/zipkin/traces/"]').first().getAttribute('href'), /^http:\/\/127\.0\.0\.1:9411\/zipkin\/traces\/[0-9a-f]{16}$/);
}));

test('without scripts', () => open('one', {javaScriptEnabled: false}, async (page) => {
  await page.getByText('The numbers, second by second').click();
  await page.getByRole('row', {name: /^0:59 / }).waitFor();
}));

test('on paper', () => open('several', {colorScheme: 'dark'}, async (page) => {
  await page.emulateMedia({media: 'print'});
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(252, 252, 251)', 'dark paper');
  if (screenshots) await page.pdf({path: `${screenshots}/chaos.pdf`, format: 'A4', printBackground: true});
}));
