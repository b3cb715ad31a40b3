// Clients of Zipkin in other languages can report to the embedded collector.
// zipkin-go is tested in infra/zipkin.

import {after, before, test} from 'node:test';
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import zipkin from 'zipkin';
import transport from 'zipkin-transport-http';
import {collector, has} from './start.mjs';

let server;
before(async () => { server = await collector(); });
after(() => server?.stop());

/** Asks for a trace until it is there: clients report in the background. */
async function awaitTrace(query) {
  for (const until = Date.now() + 15_000; Date.now() < until;) {
    const traces = await (await fetch(`${server.url}/api/v2/traces?${query}`)).json();
    if (traces.length > 0) return traces[0];
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return assert.fail(`no trace for ${query}`);
}

test('the npm client', async () => {
  const {Tracer, ExplicitContext, BatchRecorder, Annotation, InetAddress, jsonEncoder} = zipkin;
  const logger = new transport.HttpLogger({endpoint: `${server.url}/api/v2/spans`, jsonEncoder: jsonEncoder.JSON_V2, httpInterval: 50});
  const tracer = new Tracer({ctxImpl: new ExplicitContext(), recorder: new BatchRecorder({logger}), localServiceName: 'npm-client', traceId128Bit: true});
  tracer.scoped(() => {
    tracer.setId(tracer.createRootId());
    tracer.recordServiceName('npm-client');
    tracer.recordRpc('Fetch');
    tracer.recordAnnotation(new Annotation.ClientSend());
    tracer.recordAnnotation(new Annotation.ServerAddr({serviceName: 'Orders', host: new InetAddress('127.0.0.1'), port: 8080}));
    tracer.recordBinary('http.path', '/v1/orders');
    tracer.recordBinary('error', 'boom');
    tracer.recordAnnotation(new Annotation.ClientRecv());
  });
  const [span] = await awaitTrace('serviceName=npm-client&annotationQuery=error%3Dboom');
  assert.equal(span.name, 'fetch');
  assert.equal(span.kind, 'CLIENT');
  assert.equal(span.remoteEndpoint.serviceName, 'orders');
  assert.equal(span.tags['http.path'], '/v1/orders');
  clearInterval(logger.timer);
});

test('Brave, of Java', {skip: !has('mvn', '-version') && 'no Maven here: Brave is not tried', timeout: 300_000}, async () => {
  execFileSync('mvn', ['-q', '-B', '-f', fileURLToPath(new URL('../brave/pom.xml', import.meta.url)), 'compile', 'exec:java', `-Dexec.args=${server.url}/api/v2/spans`], {stdio: ['ignore', 'inherit', 'inherit']});
  const spans = await awaitTrace('serviceName=brave-client&spanName=place');
  assert.equal(spans.length, 2);
  const call = spans.find((s) => s.kind === 'CLIENT');
  assert.equal(call.parentId, spans.find((s) => s !== call).id);
  assert.equal(call.remoteEndpoint.serviceName, 'orders');
  assert.equal(call.tags.error, 'boom');
  assert.equal(call.traceId.length, 32);
});
