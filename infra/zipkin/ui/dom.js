// Building blocks of the page. Text is only ever set as text, so that nothing
// a span contains can become markup.

const svgTags = new Set(['svg', 'g', 'path', 'rect', 'text', 'title', 'line', 'marker', 'defs', 'polygon', 'tspan', 'desc']);

/** Makes an element: h('a', {href}, 'text', other). "on…" are listeners, "--x" custom properties. */
export function h(tag, props, ...children) {
  const inSVG = svgTags.has(tag) || props?.svg;
  const el = inSVG ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false || name === 'svg') continue;
    if (name.startsWith('on')) el.addEventListener(name.slice(2), value);
    else if (name.startsWith('--')) el.style.setProperty(name, value);
    else if (name === 'value' || name === 'checked') el[name] = value;
    else el.setAttribute(name, value === true ? '' : value);
  }
  el.append(...children.flat(Infinity).filter((c) => c !== undefined && c !== null && c !== false));
  return el;
}

/** Shows nodes on the page and says what happened to those who listen. */
export function show(title, status, ...nodes) {
  document.title = title;
  document.getElementById('main').replaceChildren(...nodes.flat());
  say(status);
}

export function say(status) {
  document.getElementById('status').textContent = status;
}

/** A field with its label. */
export function field(label, control, hint) {
  return h('label', {class: 'field'}, h('span', {}, label), control, hint && h('small', {}, hint));
}

export function select(name, options, chosen) {
  const el = h('select', {name}, options.map(([value, text]) => h('option', {value, selected: value === chosen}, text)));
  return el;
}

/** A message in place of content. */
export function notice(kind, title, ...text) {
  return h('section', {class: `notice ${kind}`}, h('h2', {}, title), text.map((t) => (typeof t === 'string' ? h('p', {}, t) : t)));
}

/** A stable hue for a service, so that it looks the same on every page. */
export function hue(name) {
  let n = 0;
  for (const c of name ?? '') n = (n * 31 + c.codePointAt(0)) % 3600;
  return String((n * 137) % 360);
}

export function dot(service) {
  return h('span', {class: 'dot', '--hue': hue(service), 'aria-hidden': 'true'});
}
