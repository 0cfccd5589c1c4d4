-- What found no room in the cart when a guest's was added to it: {"MUG": 3}. NULL: nothing.
ALTER TABLE carts ADD COLUMN left_out jsonb;
