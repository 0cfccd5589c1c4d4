-- When somebody left: what raced with it is erased a little later.
ALTER TABLE forgotten ADD COLUMN at timestamptz NOT NULL DEFAULT now();
CREATE INDEX forgotten_at ON forgotten (at);
-- What staff look for does not depend on how much was sent.
CREATE INDEX notifications_unsent ON notifications (state, id) WHERE state IN ('skipped', 'dead');
