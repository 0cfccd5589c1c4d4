-- A CHECK of a table is parsed anew by every statement that writes to it, one of a domain once a connection: a mail's
-- three writes cost half. The domains get their rules when the columns have them, so that no row is read or written;
-- those that are there obeyed the same rules before.
CREATE DOMAIN notification_channel AS text;
CREATE DOMAIN notification_kind AS text;
CREATE DOMAIN notification_state AS text;
-- Neither a send nor its end changes a column of an index: no index is written for them, where the page has room. What
-- staff look for is in an index without the state.
DROP INDEX notifications_unsent;
CREATE INDEX notifications_ended ON notifications (id) WHERE reason IS NOT NULL;
ALTER TABLE notifications
  DROP CONSTRAINT notifications_channel_check, DROP CONSTRAINT notifications_kind_check,
  DROP CONSTRAINT notifications_state_check, DROP CONSTRAINT notifications_check, DROP CONSTRAINT notifications_check1,
  DROP CONSTRAINT notifications_check2;
ALTER TABLE notifications
  ALTER COLUMN channel TYPE notification_channel,
  ALTER COLUMN kind TYPE notification_kind,
  ALTER COLUMN state TYPE notification_state,
  ADD CONSTRAINT notifications_sound CHECK (
    (resend_of IS NULL) = (event_id IS NOT NULL) AND
    CASE WHEN state = 'sent' THEN message_id IS NOT NULL
         WHEN state IN ('skipped', 'dead') THEN reason IS NOT NULL
         ELSE true END) NOT VALID,
  SET (fillfactor = 70);
ALTER DOMAIN notification_channel ADD CHECK (VALUE IN ('email')) NOT VALID;
ALTER DOMAIN notification_kind ADD CHECK (VALUE IN ('order_confirmation', 'order_cancelled', 'payment_received',
  'payment_declined', 'payment_failed', 'refunded', 'shipped', 'delivered', 'return_approved', 'return_refused',
  'return_received')) NOT VALID;
ALTER DOMAIN notification_state ADD CHECK (VALUE IN ('waiting', 'sending', 'sent', 'skipped', 'dead')) NOT VALID;
-- An order is heard of again as often as it changes.
ALTER TABLE orders SET (fillfactor = 70);
