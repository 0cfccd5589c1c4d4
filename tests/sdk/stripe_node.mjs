// stripe-node, unmodified, against the sandbox.
import Stripe from 'stripe';

const port = Number(process.env.PORT);
const stripe = new Stripe('sk_test_sandbox', {host: '127.0.0.1', port: port + 101, protocol: 'http'});
let checks = 0;
const check = (condition, what) => {
  if (!condition) throw new Error('FAILED: ' + what);
  ++checks;
};
const refused = async (type, call) => {
  try {
    await call();
  } catch (error) {
    check(error.type === type, `${type} expected, not ${error.type}: ${error.message}`);
    return error;
  }
  throw new Error(`FAILED: ${type} was expected`);
};
const create = (more = {}) => stripe.paymentIntents.create(
    {amount: 2400, currency: 'eur', automatic_payment_methods: {enabled: true}, capture_method: 'automatic', ...more});
const confirm = (intent, payment_method, more = {}) =>
    stripe.paymentIntents.confirm(intent.id, {payment_method, return_url: 'https://shop.example/o/1', ...more});

let intent = await create({metadata: {order_id: 'ord_1'}, shipping: {name: 'Ann', address: {line1: '1 Rue de Rivoli', country: 'FR'}}});
check(intent.shipping.address.country === 'FR', 'shipping');
const paid = await confirm(intent, 'pm_card_amex', {expand: ['latest_charge']});
check(paid.status === 'succeeded' && paid.latest_charge.payment_method_details.card.brand === 'amex', 'confirm');

intent = await create();
let error = await refused('StripeCardError', () => confirm(intent, 'pm_card_visa_chargeDeclined'));
check(error.statusCode === 402 && error.decline_code === 'generic_decline', 'decline');
check(error.payment_intent.id === intent.id, "the decline's intent");

intent = await create();
const asked = await confirm(intent, 'pm_card_threeDSecure2Required');
check(asked.next_action.redirect_to_url.return_url === 'https://shop.example/o/1', '3-D Secure');
const page = `http://127.0.0.1:${port + 101}${new URL(asked.next_action.redirect_to_url.url).pathname}`;
const back = await fetch(page, {method: 'POST', body: new URLSearchParams({outcome: 'fail'}), redirect: 'manual'});
check(back.status === 303 && back.headers.get('location').includes('redirect_status=failed'), 'back to the shop');
intent = await stripe.paymentIntents.retrieve(intent.id);
check(intent.last_payment_error.code === 'payment_intent_authentication_failure', 'failed authentication');
check((await stripe.paymentIntents.cancel(intent.id)).status === 'canceled', 'cancel');

const refund = await stripe.refunds.create({payment_intent: paid.id, amount: 1000, reason: 'requested_by_customer'});
check(refund.status === 'succeeded', 'refund');
error = await refused('StripeInvalidRequestError', () => stripe.refunds.create({payment_intent: paid.id, amount: 1401}));
check(error.param === 'amount', 'more than the rest');

const key = {idempotencyKey: 'create:pay_node'};
const first = await stripe.paymentIntents.create({amount: 2400, currency: 'eur'}, key);
const again = await stripe.paymentIntents.create({amount: 2400, currency: 'eur'}, key);
check(first.id === again.id, 'replay');
await refused('StripeIdempotencyError', () => stripe.paymentIntents.create({amount: 2401, currency: 'eur'}, key));
await refused('StripeInvalidRequestError', () => create({colour: 'red'}));
await refused('StripeAuthenticationError',
              () => new Stripe('sk_test_wrong', {host: '127.0.0.1', port: port + 101, protocol: 'http'}).refunds.list());

const ids = [];
for await (const one of stripe.paymentIntents.list({limit: 2})) ids.push(one.id);
check(ids.length >= 4 && new Set(ids).size === ids.length, 'paging');
const events = await stripe.events.list({types: ['refund.created'], created: {gte: refund.created}});
check(events.data[0].data.object.id === refund.id, 'events');
const booked = await stripe.balanceTransactions.list({expand: ['data.source'], limit: 1});
check(booked.data[0].source.id === refund.id && booked.data[0].reporting_category === 'refund', 'balance transactions');
check((await stripe.paymentIntents.search({query: "metadata['order_id']:'nobody'"})).data.length === 0, 'search');
const dispute = await refused('StripeInvalidRequestError', () => stripe.disputes.retrieve('dp_nothing'));
check(dispute.statusCode === 404, '404');
console.log(`stripe-node ${Stripe.PACKAGE_VERSION}: ${checks} checks passed`);
