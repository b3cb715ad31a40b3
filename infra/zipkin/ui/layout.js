// A layered layout that depends on nothing but the links: callers left of whom
// they call, the same picture every time.

const gapX = 90;
const gapY = 26;
const high = 38;

export function layout(links) {
  const names = [...new Set(links.flatMap((l) => [l.parent, l.child]))].sort();
  const calls = new Map(names.map((n) => [n, []]));
  for (const l of links) if (l.parent !== l.child) calls.get(l.parent).push(l.child);
  for (const list of calls.values()) list.sort();
  const layers = order(layersOf(names, calls), links);
  const {nodes, width, height} = place(layers);
  const at = new Map(nodes.map((n) => [n.name, n]));
  return {nodes, width, height, edges: links.map((link) => ({link, ...curve(at.get(link.parent), at.get(link.child), height)}))};
}

/** Each service in the layer after the last of its callers; calls that close a circle do not count. */
function layersOf(names, calls) {
  const state = new Map();
  const sorted = [];
  const forward = new Map(names.map((n) => [n, []]));
  const called = new Set([...calls.values()].flat());
  for (const start of [...names.filter((n) => !called.has(n)), ...names]) {
    if (state.has(start)) continue;
    state.set(start, 'open');
    const stack = [[start, 0]];
    while (stack.length > 0) {
      const top = stack.at(-1);
      const next = calls.get(top[0])[top[1]++];
      if (next === undefined) {
        state.set(top[0], 'done');
        sorted.push(top[0]);
        stack.pop();
      } else if (state.get(next) !== 'open') {
        forward.get(top[0]).push(next);
        if (!state.has(next)) {
          state.set(next, 'open');
          stack.push([next, 0]);
        }
      }
    }
  }
  const layer = new Map(names.map((n) => [n, 0]));
  for (const name of sorted.reverse()) {
    for (const next of forward.get(name)) layer.set(next, Math.max(layer.get(next), layer.get(name) + 1));
  }
  const layers = [];
  for (const name of names) (layers[layer.get(name)] ??= []).push(name);
  return layers;
}

/** Within a layer, near those one is linked with; a few passes to and fro. */
function order(layers, links) {
  const near = new Map();
  for (const l of links) {
    (near.get(l.parent) ?? near.set(l.parent, []).get(l.parent)).push(l.child);
    (near.get(l.child) ?? near.set(l.child, []).get(l.child)).push(l.parent);
  }
  const at = new Map();
  const number = () => layers.forEach((layer) => layer.forEach((n, i) => at.set(n, (i + 1) / (layer.length + 1))));
  number();
  for (let pass = 0; pass < 6; pass++) {
    for (const layer of pass % 2 ? layers.toReversed() : layers) {
      const pull = new Map(layer.map((n) => [n, near.get(n).reduce((sum, o) => sum + at.get(o), 0) / near.get(n).length]));
      layer.sort((a, b) => pull.get(a) - pull.get(b) || (a < b ? -1 : 1));
      number();
    }
  }
  return layers;
}

function place(layers) {
  const nodes = [];
  const tall = Math.max(...layers.map((l) => l.length)) * (high + gapY) + gapY;
  let x = 16;
  for (const layer of layers) {
    const wide = Math.max(...layer.map((n) => Math.max(84, n.length * 8.2 + 30)));
    const step = tall / layer.length;
    layer.forEach((name, i) => nodes.push({name, x, y: step * (i + 0.5) - high / 2 + 12, width: wide, height: high}));
    x += wide + gapX;
  }
  return {nodes, width: Math.round(x - gapX + 16), height: Math.round(tall + 40)};
}

/** From the right side of one to the left of the other; back and to oneself around below. */
function curve(a, b, height) {
  const from = {x: a.x + a.width, y: a.y + a.height / 2};
  const to = {x: b.x - 1, y: b.y + b.height / 2};
  if (b.x > a.x) {
    const bend = Math.max(36, (to.x - from.x) / 2);
    return {path: `M${from.x} ${from.y}C${from.x + bend} ${from.y} ${to.x - bend} ${to.y} ${to.x} ${to.y}`, at: {x: (from.x + to.x) / 2, y: (from.y + to.y) / 2}};
  }
  const low = Math.min(height - 4, Math.max(a.y + a.height, b.y + b.height) + 26);
  return {path: `M${from.x} ${from.y}C${from.x + 60} ${low} ${to.x - 60} ${low} ${to.x} ${to.y}`, at: {x: (from.x + to.x) / 2, y: low - 6}};
}
