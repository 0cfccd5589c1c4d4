-- A try may make its PaymentIntent too, so a payment that is being tried, or cancelled meanwhile, may have none yet.
ALTER TABLE payments
  DROP CONSTRAINT payments_check2,
  ADD CHECK (status IN ('pending', 'confirming', 'cancelling', 'failed', 'succeeded') OR intent_id IS NOT NULL);
