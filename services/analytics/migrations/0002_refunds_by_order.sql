-- The audit reads each order's refunds.
CREATE INDEX refunds_order ON refunds (order_id);
