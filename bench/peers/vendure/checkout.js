// node checkout.js seq N | load CLIENTS SECONDS | oversell CLIENTS PRODUCTID
const { agent, request, sequential, concurrent, burst, any } = require('../client/lib');
const { term } = require('../client/catalog');
const BASE = `http://127.0.0.1:${process.env.PORT || 3000}`;
const a = agent(+(process.env.SOCKETS || 256));
const oops = (w, r) => { throw new Error(`${w}: ${r.status} ${r.text.slice(0, 140)}`); };
const gql = async (s, query, variables, want) => {
  const r = await request(a, BASE, 'POST', '/shop-api', s.token ? { authorization: 'Bearer ' + s.token } : {}, { query, variables });
  if (r.headers['vendure-auth-token']) s.token = r.headers['vendure-auth-token'];
  if (r.status !== 200 || r.json.errors) oops('http', r);
  const v = Object.values(r.json.data)[0];
  if (want && !(v && v.__typename === want)) oops(want, r);
  return v;
};
const Q = {
  search: 'query($t:String!){search(input:{term:$t,groupByProduct:true,take:20}){totalItems items{productId productName slug description priceWithTax{... on SinglePrice{value} ... on PriceRange{min max}} inStock}}}',
  product: 'query($s:String!){product(slug:$s){id name slug description facetValues{name} variants{id sku price priceWithTax currencyCode stockLevel}}}',
  add: 'mutation($v:ID!,$q:Int!){addItemToOrder(productVariantId:$v,quantity:$q){__typename ... on Order{id code total} ... on ErrorResult{errorCode message}}}',
  customer: 'mutation($i:CreateCustomerInput!){setCustomerForOrder(input:$i){__typename ... on Order{id} ... on ErrorResult{errorCode message}}}',
  address: 'mutation($i:CreateAddressInput!){setOrderShippingAddress(input:$i){__typename ... on Order{id} ... on ErrorResult{errorCode message}}}',
  methods: '{eligibleShippingMethods{id price}}',
  ship: 'mutation($m:[ID!]!){setOrderShippingMethod(shippingMethodId:$m){__typename ... on Order{id totalWithTax} ... on ErrorResult{errorCode message}}}',
  state: 'mutation{transitionOrderToState(state:"ArrangingPayment"){__typename ... on Order{id state} ... on OrderStateTransitionError{errorCode message transitionError}}}',
  pay: 'mutation($i:PaymentInput!){addPaymentToOrder(input:$i){__typename ... on Order{id code state} ... on ErrorResult{errorCode message}}}',
};
const run = Math.random().toString(36).slice(2, 8);
const checkout = pick => async (timed, i) => {
  const s = {};
  let variant = pick && pick(i);
  if (!variant) {
    const found = await timed('0 search', () => gql(s, Q.search, { t: term() }));
    const product = await timed('0 product', () => gql(s, Q.product, { s: any(found.items).slug }));
    variant = product.variants[0].id;
  }
  await timed('1 addItem', () => gql(s, Q.add, { v: variant, q: 1 }, 'Order'));
  await timed('2 setCustomer', () => gql(s, Q.customer, { i: { firstName: 'A', lastName: 'B', emailAddress: `g${run}${i}@example.com` } }, 'Order'));
  await timed('3 setAddress', () => gql(s, Q.address, { i: { fullName: 'A B', streetLine1: 'Weg 1', city: 'Berlin', postalCode: '10115', countryCode: 'DE' } }, 'Order'));
  const m = await timed('4 shippingMethods', () => gql(s, Q.methods));
  await timed('5 setShipping', () => gql(s, Q.ship, { m: [m[0].id] }, 'Order'));
  await timed('6 ArrangingPayment', () => gql(s, Q.state, {}, 'Order'));
  const o = await timed('7 addPayment', () => gql(s, Q.pay, { i: { method: 'standard-payment', metadata: {} } }, 'Order'));
  if (o.state !== 'PaymentAuthorized' && o.state !== 'PaymentSettled') throw new Error('state ' + o.state);
  if (process.env.LOG) require('fs').appendFileSync(process.env.LOG, o.code + '\n');
  return o;
};
(async () => {
  const [mode, x, y] = process.argv.slice(2);
  if (mode === 'seq') await sequential(checkout(), +x);
  if (mode === 'load') console.log(JSON.stringify(await concurrent(checkout(), +x, +y)));
  if (mode === 'oversell') console.log(JSON.stringify(await burst(checkout(() => y), +x)));
  process.exit(0);
})();
