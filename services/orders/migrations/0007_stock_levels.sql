-- When a SKU's stock is low, and what staff noted of a movement.
ALTER TABLE stock ADD COLUMN low_at bigint CHECK (low_at >= 0);  -- NULL: the shop's own
ALTER TABLE stock_journal ADD COLUMN note text;

-- What customers are shown is exact to ten only: whoever wants to hear of a larger number hears of its crossing, too.
CREATE FUNCTION note_stock_level() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO stock_changes (sku) VALUES (NEW.sku);
  RETURN NULL;
END
$$;
CREATE TRIGGER stock_level AFTER UPDATE ON stock FOR EACH ROW
  WHEN ((OLD.on_hand - OLD.held <= OLD.low_at) IS DISTINCT FROM (NEW.on_hand - NEW.held <= NEW.low_at))
  EXECUTE FUNCTION note_stock_level();

-- As before, but for a row of version 0, which was never counted: an import opens it.
CREATE OR REPLACE FUNCTION import_stock_v1(imports uuid[], skus text[], quantities bigint[], modes text[], actors text[])
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
  row    record;
  before stock%ROWTYPE;
  after  bigint;
BEGIN
  FOR row IN SELECT said.* FROM unnest(imports, skus, quantities, modes, actors) WITH ORDINALITY
                                AS said (import_id, sku, quantity, mode, actor, i)
              ORDER BY said.sku, said.i LOOP
    INSERT INTO stock_imports (import_id, sku) VALUES (row.import_id, row.sku) ON CONFLICT DO NOTHING;
    CONTINUE WHEN NOT FOUND;
    INSERT INTO stock (sku, on_hand, version) VALUES (row.sku, 0, 0) ON CONFLICT DO NOTHING;
    SELECT * INTO before FROM stock WHERE sku = row.sku FOR UPDATE;
    CONTINUE WHEN before.version > 0 AND row.mode <> 'set';
    after := greatest(row.quantity, before.held);
    UPDATE stock SET on_hand = after, version = version + 1 WHERE sku = row.sku;
    INSERT INTO stock_journal (sku, kind, on_hand, reason, actor)
    VALUES (row.sku, CASE before.version WHEN 0 THEN 'opened' ELSE 'counted' END, after - before.on_hand,
            CASE WHEN after = row.quantity THEN 'import' ELSE 'import counted ' || row.quantity || ', less than is held' END,
            row.actor);
    IF before.version = 0 OR shown_stock(after - before.held) <> shown_stock(before.on_hand - before.held) THEN
      INSERT INTO stock_changes (sku) VALUES (row.sku);
    END IF;
  END LOOP;
END
$$;
