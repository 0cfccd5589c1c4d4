-- Who closed a failed refund that is not to be tried again: paid in another way, or owed no more.
ALTER TABLE refunds ADD COLUMN closed_by text, ADD CHECK (closed_by IS NULL OR status = 'failed');
