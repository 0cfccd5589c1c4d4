-- What becomes of a return is told too.
ALTER TABLE notifications DROP CONSTRAINT notifications_kind_check;
ALTER TABLE notifications ADD CONSTRAINT notifications_kind_check CHECK (kind IN ('order_confirmation',
  'order_cancelled', 'payment_received', 'payment_declined', 'payment_failed', 'refunded', 'shipped', 'delivered',
  'return_approved', 'return_refused', 'return_received'));
-- One event may tell of several returns. What is told once is the fact.
DROP INDEX notifications_event;
