-- Whose charge it moved for: what came for no order, and went back, is mended. NULL: read before this was kept.
ALTER TABLE balance_transactions ADD COLUMN charge text;
