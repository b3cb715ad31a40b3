// A layered layout that depends on nothing but the links: callers left of whom
// they call, the same picture every time. A call that skips layers gets a lane
// of its own through them, so that no line runs behind a service.

const gapX = 88;
const gapY = 22;
const high = 38;
const lane = 8;

export function layout(links) {
  const names = [...new Set(links.flatMap((l) => [l.parent, l.child]))].sort();
  const calls = new Map(names.map((n) => [n, []]));
  for (const l of links) if (l.parent !== l.child) calls.get(l.parent).push(l.child);
  for (const list of calls.values()) list.sort();
  const layers = layersOf(names, calls);
  const items = new Map(names.map((n) => [n, {key: n, name: n, height: high, near: [], before: [], after: []}]));
  layers.forEach((layer, i) => { layers[i] = layer.map((n) => Object.assign(items.get(n), {layer: i})); });
  const routes = links.map((link) => route(link, items, layers));
  order(layers);
  const size = place(layers);
  for (const item of layers.flat()) {
    for (const side of [item.before, item.after]) side.sort((a, b) => a.y - b.y || (a.key < b.key ? -1 : 1));
  }
  return {...size, nodes: names.map((n) => items.get(n)), edges: links.map((link, i) => ({link, ...draw(routes[i], size.height)}))};
}

/** The items a call passes through, from caller to called. Calls backwards and to oneself pass none. */
function route(link, items, layers) {
  const from = items.get(link.parent);
  const to = items.get(link.child);
  if (to.layer <= from.layer) return [from, to];
  const path = [from];
  for (let i = from.layer + 1; i < to.layer; i++) {
    const item = {key: `${link.parent}\n${link.child}`, height: lane, near: [], before: [], after: [], layer: i};
    layers[i].push(item);
    path.push(item);
  }
  path.push(to);
  for (let i = 1; i < path.length; i++) {
    path[i - 1].after.push(path[i]);
    path[i].before.push(path[i - 1]);
    path[i - 1].near.push(path[i]);
    path[i].near.push(path[i - 1]);
  }
  return path;
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
function order(layers) {
  const number = () => layers.forEach((layer) => layer.forEach((item, i) => { item.at = (i + 1) / (layer.length + 1); }));
  const mean = (item) => (item.near.length === 0 ? item.at : item.near.reduce((sum, o) => sum + o.at, 0) / item.near.length);
  number();
  for (let pass = 0; pass < 12; pass++) {
    for (const layer of pass % 2 ? layers.toReversed() : layers) {
      for (const item of layer) item.pull = mean(item);
      layer.sort((a, b) => a.pull - b.pull || (a.key < b.key ? -1 : 1));
      number();
    }
  }
}

/** Gives every item its place: columns from left to right, each pulled towards its neighbours. */
function place(layers) {
  let x = 16;
  for (const layer of layers) {
    const wide = Math.max(...layer.map((item) => (item.name ? Math.max(84, item.name.length * 8.2 + 30) : 0)));
    let y = 0;
    for (const item of layer) {
      Object.assign(item, {x, width: wide, y});
      y += item.height + gapY;
    }
    x += wide + gapX;
  }
  for (let pass = 0; pass < 10; pass++) {
    for (const layer of pass % 2 ? layers.toReversed() : layers) settle(layer);
  }
  const all = layers.flat();
  const top = Math.min(...all.map((item) => item.y)) - 18;
  for (const item of all) item.y -= top;
  return {width: Math.round(x - gapX + 16), height: Math.round(Math.max(...all.map((item) => item.y + item.height)) + 34)};
}

const middle = (item) => item.y + item.height / 2;

/** Moves a layer's items to the middle of their neighbours, as far as they leave each other room. */
function settle(layer) {
  const wish = layer.map((item) => (item.near.length === 0 ? item.y : item.near.reduce((sum, o) => sum + middle(o), 0) / item.near.length - item.height / 2));
  let floor = -Infinity;
  let drift = 0;
  layer.forEach((item, i) => {
    item.y = Math.max(wish[i], floor);
    floor = item.y + item.height + gapY;
    drift += item.y - wish[i];
  });
  for (const item of layer) item.y -= drift / layer.length;
}

/** Where on its side an item is left or entered: in the order of the other ends. */
function port(item, others, other) {
  if (!item.name) return middle(item);
  return item.y + (item.height * (others.indexOf(other) + 1)) / (others.length + 1);
}

/** A smooth line through a route, and the place for a word about it. */
function draw(path, height) {
  const [from, to] = [path[0], path.at(-1)];
  if (to.layer <= from.layer) { // around below
    const low = Math.min(height - 4, Math.max(from.y, to.y) + high + 26);
    const [x1, x2] = [from.x + from.width, to.x - 1];
    return {path: `M${x1} ${middle(from)}C${x1 + 60} ${low} ${x2 - 60} ${low} ${x2} ${middle(to)}`, at: {x: (x1 + x2) / 2, y: low - 6}};
  }
  let d = '';
  let at;
  for (let i = 1; i < path.length; i++) {
    const [a, b] = [path[i - 1], path[i]];
    const [x1, y1] = [a.x + a.width, port(a, a.after, b)];
    const [x2, y2] = [b === to ? b.x - 1 : b.x, port(b, b.before, a)];
    const bend = (x2 - x1) / 2;
    d += `${i === 1 ? 'M' : 'L'}${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
    at = {x: x1 + (x2 - x1) * 0.5, y: (y1 + y2) / 2};
  }
  return {path: d, at};
}
