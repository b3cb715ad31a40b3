// Numbers and times as people read them, and back.

/** 1234 µs → "1.23 ms". */
export function duration(us) {
  if (us === undefined || us === null) return 'unknown';
  if (us < 1000) return `${us} µs`;
  const [value, unit] = us < 1e6 ? [us / 1e3, 'ms'] : us < 60e6 ? [us / 1e6, 's'] : [us / 60e6, 'min'];
  return `${value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ${unit}`;
}

const units = {us: 1, µs: 1, ms: 1e3, s: 1e6, m: 60e6, min: 60e6, h: 3600e6, d: 86400e6};

/** "1.5ms" → 1500 µs; a bare number is µs; undefined if it is neither. */
export function parseDuration(text) {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(us|µs|ms|s|m|min|h|d)?\s*$/.exec(text ?? '');
  return match ? Math.round(Number(match[1]) * units[match[2] ?? 'us']) : undefined;
}

/** µs since 1970 → local date and time with milliseconds. */
export function moment(us) {
  const d = new Date(us / 1000);
  const pad = (n, width = 2) => String(n).padStart(width, '0');
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}.${pad(d.getMilliseconds(), 3)}`;
}

export function ago(us) {
  const s = Math.max(0, Math.round(Date.now() / 1000 - us / 1e6));
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
