// Zipkin's v2 API, as far as the page needs it.

async function get(path, signal) {
  const response = await fetch(`/api/v2/${path}`, {signal, headers: {Accept: 'application/json'}});
  if (!response.ok) {
    const error = new Error((await response.text()) || response.statusText);
    error.status = response.status;
    throw error;
  }
  return response.json();
}

const query = (params) => new URLSearchParams(Object.entries(params).filter(([, v]) => v !== '' && v !== undefined && v !== null)).toString();

export const services = (signal) => get('services', signal);
export const spanNames = (serviceName, signal) => get(`spans?${query({serviceName})}`, signal);
export const remoteServices = (serviceName, signal) => get(`remoteServices?${query({serviceName})}`, signal);
export const tracesPath = (params) => `traces?${query(params)}`;
export const traces = (params, signal) => get(tracesPath(params), signal);
export const trace = (id, signal) => get(`trace/${encodeURIComponent(id)}`, signal);
export const dependencies = (endTs, lookback, signal) => get(`dependencies?${query({endTs, lookback})}`, signal);
