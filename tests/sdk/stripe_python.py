"""stripe-python, unmodified, against the sandbox."""
import http.server
import json
import os
import queue
import threading
import urllib.parse
import urllib.request

import stripe

port = int(os.environ["PORT"])
client = stripe.StripeClient("sk_test_sandbox", base_addresses={"api": f"http://127.0.0.1:{port + 101}"})
v1 = client.v1
checks = 0


def check(condition, what):
    global checks
    if not condition:
        raise SystemExit("FAILED: " + what)
    checks += 1


def refused(error, call):
    try:
        call()
    except error as caught:
        return caught
    raise SystemExit(f"FAILED: {error.__name__} was expected")


hooks = queue.Queue()


class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        hooks.put((self.path, self.headers.get("Stripe-Signature"), self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


threading.Thread(target=http.server.ThreadingHTTPServer(("127.0.0.1", port + 99), Hook).serve_forever, daemon=True).start()


def create(**more):
    return v1.payment_intents.create({"amount": 2400, "currency": "eur", "automatic_payment_methods": {"enabled": True},
                                      "capture_method": "automatic", **more})


def confirm(intent, method, **more):
    return v1.payment_intents.confirm(intent.id, {"payment_method": method, "return_url": "https://shop.example/o/1", **more})


# Create, confirm, read with expansions.
intent = create(metadata={"order_id": "ord_1", "note": "ä & ö"})
check(intent.status == "requires_payment_method" and intent.metadata["note"] == "ä & ö", "create")
paid = confirm(intent, "pm_card_visa", expand=["latest_charge.balance_transaction", "payment_method"])
check(paid.status == "succeeded" and paid.amount_received == 2400, "confirm")
check(paid.latest_charge.balance_transaction.net == 2339, "expand")
check(paid.payment_method.card.last4 == "4242", "payment method")
check(v1.payment_intents.retrieve(intent.id).latest_charge == paid.latest_charge.id, "retrieve")

# A decline is a CardError whose error holds the intent; the same intent takes another method.
intent = create()
error = refused(stripe.CardError, lambda: confirm(intent, "pm_card_visa_chargeDeclinedInsufficientFunds"))
check(error.http_status == 402 and error.code == "card_declined", "decline")
check(error.error.decline_code == "insufficient_funds" and error.error.payment_intent.id == intent.id, "decline's error")
check(error.error.payment_intent.status == "requires_payment_method", "status after a decline")
check(confirm(intent, "pm_card_mastercard").status == "succeeded", "another method")

# 3-D Secure by redirect.
intent = create()
asked = confirm(intent, "pm_card_authenticationRequired")
check(asked.status == "requires_action" and asked.next_action.type == "redirect_to_url", "3-D Secure")
page = urllib.parse.urlsplit(asked.next_action.redirect_to_url.url).path


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


opener = urllib.request.build_opener(NoRedirect)
address = f"http://127.0.0.1:{port + 101}{page}"
check(b"Complete authentication" in opener.open(address).read(), "3-D Secure's page")
try:
    opener.open(address, data=b"outcome=complete")
except urllib.error.HTTPError as redirect:
    check(redirect.code == 303 and "redirect_status=succeeded" in redirect.headers["Location"], "back to the shop")
check(v1.payment_intents.retrieve(intent.id).status == "succeeded", "after 3-D Secure")

# Update, cancel, cancel again.
intent = create()
check(v1.payment_intents.update(intent.id, {"amount": 2500, "metadata": {"order_id": "ord_2"}}).amount == 2500, "update")
check(v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"}).status == "canceled", "cancel")
error = refused(stripe.InvalidRequestError, lambda: v1.payment_intents.cancel(intent.id))
check(error.code == "payment_intent_unexpected_state" and error.error.payment_intent.status == "canceled", "cancel twice")

# Authorise and capture a part.
intent = create(capture_method="manual")
check(confirm(intent, "pm_card_visa").status == "requires_capture", "authorise")
check(v1.payment_intents.capture(intent.id, {"amount_to_capture": 1000}).amount_received == 1000, "capture")

# Refunds.
refund = v1.refunds.create({"payment_intent": paid.id, "amount": 400, "metadata": {"refund_id": "ref_1"}})
check(refund.status == "succeeded" and refund.amount == 400, "refund")
check(v1.refunds.retrieve(refund.id).metadata["refund_id"] == "ref_1", "refund's metadata")
v1.refunds.create({"payment_intent": paid.id})
error = refused(stripe.InvalidRequestError, lambda: v1.refunds.create({"payment_intent": paid.id}))
check(error.code == "charge_already_refunded", "refunded twice")
check([r.amount for r in v1.refunds.list({"payment_intent": paid.id}).data] == [2000, 400], "refunds, newest first")

# Idempotency keys.
once = {"idempotency_key": "create:pay_1"}
form = {"amount": 2400, "currency": "eur"}
first = v1.payment_intents.create(form, once)
again = v1.payment_intents.create(form, once)
check(first.id == again.id and again.last_response.headers["Idempotent-Replayed"] == "true", "replay")
refused(stripe.IdempotencyError, lambda: v1.payment_intents.create({**form, "amount": 2500}, once))

# Refusals.
error = refused(stripe.InvalidRequestError, lambda: create(colour="red"))
check(error.code == "parameter_unknown" and error.param == "colour", "unknown parameter")
error = refused(stripe.InvalidRequestError, lambda: create(payment_method_types=["card"]))
check(error.code == "payment_method_types_no_longer_supported", "payment_method_types")
refused(stripe.AuthenticationError, lambda: stripe.StripeClient(
    "sk_test_wrong", base_addresses={"api": f"http://127.0.0.1:{port + 101}"}).v1.payment_intents.list())
check(refused(stripe.InvalidRequestError, lambda: v1.payment_intents.retrieve("pi_nothing")).http_status == 404, "404")

# Lists that page by themselves, search, events, money on our balance, a delayed debit.
everything = [i.id for i in v1.payment_intents.list({"limit": 2}).auto_paging_iter()]
check(len(everything) == len(set(everything)) >= 6, "paging")
check(v1.payment_intents.list({"created": {"gte": 1, "lt": 2}}).data == [], "created")
check(v1.payment_intents.search({"query": "metadata['order_id']:'nobody'"}).data == [], "search")
events = v1.events.list({"types": ["payment_intent.succeeded", "payment_intent.payment_failed"], "limit": 100})
check({e.type for e in events} == {"payment_intent.succeeded", "payment_intent.payment_failed"}, "events")
check(v1.events.retrieve(events.data[0].id).data.object.object == "payment_intent", "event")
booked = v1.balance_transactions.list({"expand": ["data.source"], "limit": 100})
check({t.reporting_category for t in booked} == {"charge", "refund"}, "balance transactions")
check(all(t.source.id for t in booked) and all(t.net == t.amount - t.fee for t in booked), "their sources")
check(v1.charges.retrieve(paid.latest_charge.id).amount_refunded == 2400, "charge")
method = v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
check(confirm(create(), method.id).status == "succeeded", "a method of our own")
error = refused(stripe.InvalidRequestError, lambda: confirm(create(), method.id))
check("may not be used again" in str(error), "single use")
check(confirm(create(), "pm_success_de").status == "processing", "debit")

# Webhooks verify with the SDK's own check.
seen = set()
while not {"payment_intent.succeeded", "payment_intent.payment_failed", "refund.created"} <= seen:
    path, signature, payload = hooks.get(timeout=20)
    event = client.construct_event(payload, signature, "whsec_sandbox")
    check(path == "/v1/webhooks/stripe" and event.data.object.id, "webhook")
    seen.add(event.type)
    refused(stripe.SignatureVerificationError, lambda: client.construct_event(payload + b" ", signature, "whsec_sandbox"))
print(f"stripe-python {stripe.VERSION}: {checks} checks passed")
