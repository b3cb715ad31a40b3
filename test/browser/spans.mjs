// Spans as the mesh reports them: orders that go through seven services, one
// of which failed a try, one of which failed for good, and page views.

const services = {edge: 8080, gateway: 41001, orders: 41101, catalog: 41201, pricing: 41301, inventory: 41401, payments: 41501, shipping: 41601};

const endpoint = (serviceName, n = 1) => ({serviceName, ipv4: '127.0.0.1', port: services[serviceName] + n - 1});

let nextID = 1;
const hex = (n, width = 16) => n.toString(16).padStart(width, '0');

class Trace {
  constructor(start) {
    this.id = hex(0x4e441824ec2b6a44n, 16) + hex(0x1000 + nextID++);
    this.start = start;
    this.spans = [];
  }

  add(span) {
    this.spans.push({traceId: this.id, ...span});
  }

  /** The edge's own span; returns its id. */
  root(name, took, tags = {}) {
    const id = hex(nextID++);
    this.add({id, kind: 'SERVER', name, timestamp: this.start, duration: took, localEndpoint: endpoint('edge'), tags: {'http.status_code': '200', ...tags}});
    return id;
  }

  /** One try of a call: the client's span and the server's of the same id, unless it died. */
  call(parentId, from, to, method, at, took, {attempt = 1, instance = 1, breaker = 'closed', error, dead, tags} = {}) {
    const id = hex(nextID++);
    const failed = error ? {error, 'fault.code': 'unavailable'} : {};
    this.add({id, parentId, kind: 'CLIENT', name: method, timestamp: this.start + at, duration: took, localEndpoint: endpoint(from), remoteEndpoint: endpoint(to, instance),
      tags: {instance: `${to}-${instance}`, try: String(attempt), breaker, ...failed}});
    if (!dead) {
      this.add({id, parentId, kind: 'SERVER', shared: true, name: method, timestamp: this.start + at + 150, duration: Math.max(1, took - 300), localEndpoint: endpoint(to, instance), tags: {...failed, ...tags}});
    }
    return id;
  }
}

/** An order, with a try that met a killed instance and was made again. */
export function order(start, {retried = false, declined = false} = {}) {
  const t = new Trace(start);
  const root = t.root('POST /v1/orders', 48200, declined ? {'http.status_code': '402', error: 'card declined'} : {});
  const gateway = t.call(root, 'edge', 'gateway', 'gateway.PlaceOrder', 300, 47500, {instance: 2});
  const place = t.call(gateway, 'gateway', 'orders', 'orders.Place', 900, 45800, {instance: 3});
  const quote = t.call(place, 'orders', 'shipping', 'shipping.Quote', 1500, 5200);
  t.call(quote, 'shipping', 'pricing', 'pricing.Quote', 2100, 3800, {instance: 2});
  if (retried) {
    t.call(place, 'orders', 'inventory', 'inventory.Reserve', 7000, 4100, {instance: 1, error: 'connection refused: inventory-1 is gone', dead: true, breaker: 'half-open'});
    t.call(place, 'orders', 'inventory', 'inventory.Reserve', 11400, 3900, {instance: 3, attempt: 2});
  } else {
    t.call(place, 'orders', 'inventory', 'inventory.Reserve', 7000, 4100, {instance: 1});
  }
  const pay = t.call(place, 'orders', 'payments', 'payments.Authorise', 16000, 21000, {instance: 2, error: declined ? 'card declined' : undefined});
  t.add({id: hex(nextID++), parentId: pay, name: 'provider post /charges', timestamp: start + 16800, duration: 19000, localEndpoint: endpoint('payments', 2), annotations: [{timestamp: start + 17000, value: 'wire send'}, {timestamp: start + 35500, value: 'wire receive'}], tags: {'http.path': '/charges'}});
  if (!declined) {
    t.add({id: hex(nextID++), parentId: place, kind: 'PRODUCER', name: 'orders.placed', timestamp: start + 38500, duration: 700, localEndpoint: endpoint('orders', 3), remoteEndpoint: {serviceName: 'nats'}});
    const sent = t.spans.at(-1).id;
    t.add({id: hex(nextID++), parentId: sent, kind: 'CONSUMER', name: 'shipping.dispatch', timestamp: start + 40100, duration: 5600, localEndpoint: endpoint('shipping', 2), remoteEndpoint: {serviceName: 'nats'}});
  }
  return t;
}

/** A product page: the gateway asks four services at once. */
export function page(start) {
  const t = new Trace(start);
  const root = t.root('GET /v1/products/{sku}', 9400);
  const gateway = t.call(root, 'edge', 'gateway', 'gateway.Page', 200, 9000);
  for (const [to, took] of [['catalog', 2400], ['pricing', 1800], ['inventory', 3100], ['shipping', 7600]]) {
    const id = t.call(gateway, 'gateway', to, `${to}.Get`, 700, took, {instance: 1 + (took % 3)});
    if (to === 'shipping') t.call(id, 'shipping', 'pricing', 'pricing.Quote', 1500, 4100);
  }
  return t;
}

export async function report(url, traces) {
  const response = await fetch(`${url}/api/v2/spans`, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(traces.flatMap((t) => t.spans))});
  if (response.status !== 202) throw new Error(`reporting spans: ${response.status} ${await response.text()}`);
}

/** Stores a few dozen traces of the last minutes and returns the ones tests look at. */
export async function shop(url) {
  const now = Date.now() * 1000;
  const all = [];
  for (let i = 0; i < 24; i++) all.push(page(now - i * 7_000_000 - 2_000_000));
  for (let i = 0; i < 8; i++) all.push(order(now - i * 19_000_000 - 3_000_000));
  const retried = order(now - 1_000_000, {retried: true});
  const declined = order(now - 40_000_000, {declined: true});
  await report(url, [...all, retried, declined]);
  return {retried, declined};
}
