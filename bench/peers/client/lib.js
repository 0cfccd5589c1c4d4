// Keep-alive JSON client, percentiles, and the loops both peers' benchmarks share.
const http = require('http');
exports.agent = n => new http.Agent({ keepAlive: true, maxSockets: n });
exports.request = (agent, base, method, path, headers, body) => new Promise((res, rej) => {
  const u = new URL(base + path);
  const data = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
  const r = http.request({ agent, host: u.hostname, port: u.port, path: u.pathname + u.search, method,
    headers: { ...(data !== undefined ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(data) } : {}), ...headers } }, m => {
    const c = []; m.on('data', d => c.push(d)); m.on('error', rej);
    m.on('end', () => { const t = Buffer.concat(c).toString(); let j; try { j = JSON.parse(t); } catch { j = undefined; } res({ status: m.statusCode, headers: m.headers, json: j, text: t }); });
  });
  r.on('error', rej); r.setTimeout(+(process.env.TIMEOUT_MS || 60000), () => r.destroy(new Error('timeout')));
  if (data !== undefined) r.write(data); r.end();
});
const pct = (a, p) => { const s = [...a].sort((x, y) => x - y); return s.length ? s[Math.min(s.length - 1, Math.floor(p * s.length))] : NaN; };
exports.pct = pct;
exports.any = list => { if (!list.length) throw new Error('nothing found'); return list[Math.floor(Math.random() * list.length)]; };
exports.median = a => pct(a, 0.5);
// steps: async (ctx, timed) => order id; timed(name, fn) measures one call
exports.sequential = async (checkout, n) => {
  const by = {}, total = []; let calls = 0;
  for (let i = 0; i < n; i++) {
    const t0 = performance.now();
    await checkout(async (name, f) => { const t = performance.now(); calls++; const r = await f(); (by[name] ||= []).push(performance.now() - t); return r; }, i);
    total.push(performance.now() - t0);
  }
  for (const k in by) console.log(`  ${k.padEnd(22)} p50 ${pct(by[k], .5).toFixed(1)} ms  p99 ${pct(by[k], .99).toFixed(1)} ms`);
  console.log(`  total                  p50 ${pct(total, .5).toFixed(1)} ms  p99 ${pct(total, .99).toFixed(1)} ms  calls/order ${calls / n}`);
};
exports.concurrent = async (checkout, clients, seconds) => {
  const lat = []; let fail = 0; const errs = {}; const until = performance.now() + seconds * 1000, t0 = performance.now();
  let i = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (performance.now() < until) {
      const t = performance.now();
      try { await checkout((_, f) => f(), i++); lat.push(performance.now() - t); }
      catch (e) { fail++; const m = e.message.slice(0, 160); errs[m] = (errs[m] || 0) + 1; if (fail > 5000) return; }
    }
  }));
  const s = (performance.now() - t0) / 1000;
  return { orders: lat.length, perSec: lat.length / s, p50: pct(lat, .5), p99: pct(lat, .99), fail, errs };
};
exports.burst = async (checkout, n) => {
  const out = { ok: 0, fail: {} };
  await Promise.all(Array.from({ length: n }, async (_, i) => {
    try { await checkout((_, f) => f(), i); out.ok++; }
    catch (e) { const m = e.message.slice(0, 160); out.fail[m] = (out.fail[m] || 0) + 1; }
  }));
  return out;
};
