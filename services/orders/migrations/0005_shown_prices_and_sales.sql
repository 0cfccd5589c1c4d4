-- What a cart's buyer was shown, the shipping price he chose, and prices that hold for a time.
ALTER TABLE cart_items ADD COLUMN shown_price bigint;  -- of one piece, when it was put there; NULL: not known
ALTER TABLE carts ADD COLUMN shipping_quote text;      -- signed by shipping
ALTER TABLE offers ADD COLUMN sales jsonb NOT NULL DEFAULT '{}';  -- {"EUR": {"amount", "from", "until"}}
