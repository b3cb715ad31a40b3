// A trace as the page shows it: one row per call, with what the client and
// what the server reported of it.

/** Whether a span carries Zipkin's error tag. */
export const failed = (span) => span.tags !== undefined && 'error' in span.tags;

const service = (span) => span.localEndpoint?.serviceName;

/** Groups spans that share an id into one call, and calls into a tree. */
export function rows(spans) {
  const calls = new Map();
  for (const span of spans) {
    const call = calls.get(span.id);
    if (call) call.sides.push(span);
    else calls.set(span.id, {id: span.id, sides: [span], children: [], depth: 0});
  }
  for (const call of calls.values()) {
    call.sides.sort((a, b) => order(a) - order(b));
    describe(call);
  }
  cutCircles(calls);
  const roots = [];
  for (const call of calls.values()) {
    const parent = calls.get(call.parentId);
    if (parent) parent.children.push(call);
    else roots.push(call);
  }
  const list = [];
  const byTime = (a, b) => (a.start ?? Infinity) - (b.start ?? Infinity) || (a.id < b.id ? -1 : 1);
  const stack = roots.sort(byTime).reverse();
  while (stack.length > 0) {
    const call = stack.pop();
    list.push(call);
    call.children.sort(byTime);
    for (const child of call.children.toReversed()) {
      child.depth = call.depth + 1;
      child.parent = call;
      stack.push(child);
    }
  }
  return list;
}

const order = (span) => (span.kind === 'CLIENT' || span.kind === 'PRODUCER' ? 0 : span.shared ? 2 : 1);

/** Makes a root of one call of each circle: broken input has some. */
function cutCircles(calls) {
  const seen = new Map();
  for (const start of calls.values()) {
    for (let call = start; call && !seen.has(call); call = calls.get(call.parentId)) {
      seen.set(call, start);
      if (seen.get(calls.get(call.parentId)) === start) call.parentId = undefined;
    }
  }
}

/** What a row says of its sides. */
function describe(call) {
  const {sides} = call;
  const first = sides[0];
  call.parentId = sides.map((s) => s.parentId).find(Boolean);
  call.name = sides.map((s) => s.name).find(Boolean) ?? 'unnamed';
  call.kind = first.kind;
  const client = sides.find((s) => s.kind === 'CLIENT' || s.kind === 'PRODUCER');
  const server = sides.find((s) => s !== client);
  call.from = client && service(client);
  call.to = server ? service(server) : client?.remoteEndpoint?.serviceName;
  call.service = call.to ?? call.from ?? service(first) ?? 'unknown';
  call.failed = sides.some(failed);
  call.error = sides.map((s) => s.tags?.error).find((e) => e !== undefined);
  const tag = (key) => sides.map((s) => s.tags?.[key]).find((v) => v !== undefined);
  call.try = tag('try');
  call.instance = tag('instance');
  call.breaker = tag('breaker');
  const times = sides.map((s) => s.timestamp).filter(Boolean);
  call.start = times.length > 0 ? Math.min(...times) : undefined;
  const ends = sides.filter((s) => s.timestamp).map((s) => s.timestamp + (s.duration ?? 0));
  call.end = ends.length > 0 ? Math.max(...ends) : undefined;
}

/** What the head of a trace and its line in a list say. */
export function summary(spans) {
  let start = Infinity;
  let end = 0;
  const services = new Map();
  for (const span of spans) {
    if (span.timestamp) {
      start = Math.min(start, span.timestamp);
      end = Math.max(end, span.timestamp + (span.duration ?? 0));
    }
    const name = service(span);
    if (name) services.set(name, (services.get(name) ?? 0) + 1);
  }
  const ids = new Set(spans.map((s) => s.id));
  const earliest = (list) => list.reduce((a, b) => ((b.timestamp ?? Infinity) < (a?.timestamp ?? Infinity) ? b : a ?? b), undefined);
  const root = earliest(spans.filter((s) => !s.parentId)) ?? earliest(spans.filter((s) => !ids.has(s.parentId))) ?? spans[0];
  return {
    id: spans[0].traceId,
    root: {service: service(root) ?? root.remoteEndpoint?.serviceName ?? 'unknown', name: root.name ?? 'unnamed'},
    complete: !root.parentId,
    start: start === Infinity ? undefined : start,
    duration: start === Infinity ? undefined : root.parentId ? end - start : root.duration ?? end - start,
    whole: start === Infinity ? undefined : Math.max(end - start, 1),
    spans: spans.length,
    errors: new Set(spans.filter(failed).map((s) => s.id)).size,
    rootFailed: failed(root),
    retries: new Set(spans.filter((s) => Number(s.tags?.try) > 1).map((s) => s.id)).size,
    services: [...services].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)),
  };
}
