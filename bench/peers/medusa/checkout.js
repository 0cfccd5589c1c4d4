// node checkout.js seq N | load CLIENTS SECONDS | oversell CLIENTS INDEX   (reads seed.json written by the seed)
const { agent, request, sequential, concurrent, burst, any } = require('../client/lib');
const { term } = require('../client/catalog');
const BASE = `http://127.0.0.1:${process.env.PORT || 9000}`;
const seed = JSON.parse(require('fs').readFileSync(process.env.SEED_OUT || 'seed.json'));
const a = agent(+(process.env.SOCKETS || 256));
const call = async (method, path, body) => {
  const r = await request(a, BASE, method, '/store' + path, { 'x-publishable-api-key': seed.key }, body);
  if (r.status >= 300) throw new Error(`${method} ${path.replace(/(cart|paycol|payses)_\w+/g, ':id')}: ${r.status} ${r.text.slice(0, 140).replace(/\w+_01\w+/g, ':id')}`);
  return r.json;
};
const run = Math.random().toString(36).slice(2, 8);
const address = { first_name: 'A', last_name: 'B', address_1: 'Weg 1', city: 'Berlin', postal_code: '10115', country_code: 'de' };
const checkout = pick => async (timed, i) => {
  let variant = pick && pick(i);
  if (!variant) {
    const fields = encodeURIComponent('id,title,handle,description,*variants.calculated_price');
    const found = await timed('0 search', () => call('GET', `/products?q=${term()}&limit=20&region_id=${seed.region}&fields=${fields}`));
    const one = await timed('0 product', () => call('GET', `/products/${any(found.products).id}?region_id=${seed.region}`));
    variant = one.product.variants[0].id;
  }
  const { cart } = await timed('1 create cart', () => call('POST', '/carts', { region_id: seed.region }));
  const c = '/carts/' + cart.id;
  await timed('2 add item', () => call('POST', c + '/line-items', { variant_id: variant, quantity: 1 }));
  await timed('3 email+address', () => call('POST', c, { email: `g${run}${i}@example.com`, shipping_address: address, billing_address: address }));
  const { shipping_options: o } = await timed('4 shipping options', () => call('GET', '/shipping-options?cart_id=' + cart.id));
  await timed('5 set shipping', () => call('POST', c + '/shipping-methods', { option_id: o[0].id }));
  const { payment_collection: p } = await timed('6 payment collection', () => call('POST', '/payment-collections', { cart_id: cart.id }));
  await timed('7 payment session', () => call('POST', `/payment-collections/${p.id}/payment-sessions`, { provider_id: 'pp_system_default' }));
  const r = await timed('8 complete', () => call('POST', c + '/complete', {}));
  if (r.type !== 'order') throw new Error('complete: ' + JSON.stringify(r.error || r).slice(0, 140));
  if (process.env.LOG) require('fs').appendFileSync(process.env.LOG, r.order.id + '\n');
  return r.order;
};
(async () => {
  const [mode, x, y] = process.argv.slice(2);
  if (mode === 'seq') await sequential(checkout(), +x);
  if (mode === 'load') console.log(JSON.stringify(await concurrent(checkout(), +x, +y)));
  if (mode === 'oversell') console.log(JSON.stringify(await burst(checkout(() => seed.variants[+y]), +x)));
  process.exit(0);
})();
