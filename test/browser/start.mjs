// Starts what the tests need and ends it again.

import {spawn, spawnSync} from 'node:child_process';
import {existsSync, readdirSync} from 'node:fs';
import {createServer} from 'node:net';
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

/** The jar of the real Zipkin: KITMESH_ZIPKIN_JAR, or where kitmesh up puts it. */
function jar() {
  if (process.env.KITMESH_ZIPKIN_JAR) return process.env.KITMESH_ZIPKIN_JAR;
  const found = existsSync(`${root}bin`) ? readdirSync(`${root}bin`).filter((f) => /^zipkin-server-.*-exec\.jar$/.test(f)) : [];
  return found.length > 0 ? `${root}bin/${found.sort().at(-1)}` : undefined;
}

/** Whether a program is there. */
export const has = (program, ...args) => spawnSync(program, args, {stdio: 'ignore'}).status === 0;

/** Runs the real Zipkin on a free port. */
export async function realZipkin() {
  const port = await freePort();
  const child = spawn('java', ['-Xms32m', '-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-jar', jar(),
    '--armeria.ports[0].ip=127.0.0.1', `--armeria.ports[0].port=${port}`, '--armeria.ports[0].protocols[0]=http', '--logging.level.root=ERROR'],
  {stdio: 'ignore', env: {...process.env, QUERY_PORT: String(port), STORAGE_TYPE: 'mem'}});
  const url = `http://127.0.0.1:${port}`;
  const stop = async () => {
    const ended = once(child, 'exit');
    if (child.exitCode === null && child.kill('SIGKILL')) await ended;
  };
  for (const until = Date.now() + 120_000; Date.now() < until && child.exitCode === null;) {
    const up = await fetch(`${url}/health`).then((r) => r.ok, () => false);
    if (up) return {url, stop};
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  await stop();
  throw new Error('the real Zipkin does not start');
}

/** Why the real Zipkin cannot run here; false if it can. */
realZipkin.absent = () => {
  if (!has('java', '-version')) return 'no java here: the real Zipkin is not asked';
  return jar() ? false : 'no Zipkin jar: set KITMESH_ZIPKIN_JAR, or run kitmesh up once, which fetches it into bin/';
};

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const {port} = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** The browser of the machine: CHROMIUM, or Debian's. */
export function browser() {
  const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
  if (!existsSync(executablePath)) throw new Error(`no browser at ${executablePath}: apt-get install chromium, or set CHROMIUM to the path of one`);
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}
