// Starts what the tests need and ends it again.

import {spawn} from 'node:child_process';
import {existsSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import {once} from 'node:events';
import {chromium} from 'playwright-core';

const root = fileURLToPath(new URL('../../', import.meta.url));
export const kitmesh = process.env.KITMESH ?? `${root}bin/kitmesh`;

/** Runs `kitmesh zipkin` on a free port; stop() ends it in good order. */
export async function collector(...args) {
  if (!existsSync(kitmesh)) throw new Error(`${kitmesh} is not there: run make build`);
  const child = spawn(kitmesh, ['zipkin', '--addr', '127.0.0.1:0', ...args], {stdio: ['ignore', 'pipe', 'inherit']});
  let said = '';
  for await (const chunk of child.stdout) {
    said += chunk;
    const ready = /ready on (http:\S+),/.exec(said);
    if (ready) {
      return {url: ready[1], async stop() {
        const ended = once(child, 'exit');
        child.kill('SIGTERM');
        const [code] = await ended;
        if (code !== 0) throw new Error(`kitmesh zipkin ended with ${code}`);
      }};
    }
  }
  throw new Error(`kitmesh zipkin said ${said}`);
}

/** The browser of the machine: CHROMIUM, or Debian's. */
export function browser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}
