-- A refund is told too.
ALTER TABLE notifications DROP CONSTRAINT notifications_kind_check;
ALTER TABLE notifications ADD CONSTRAINT notifications_kind_check CHECK (kind IN ('order_confirmation',
  'order_cancelled', 'payment_received', 'payment_declined', 'payment_failed', 'refunded', 'shipped', 'delivered'));
