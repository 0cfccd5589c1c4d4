-- An end finds its job by the key, by whichever index: by the lease alone, as is planned while a vacuum found the table
-- empty, it would read all that this process ended since. Whoever frees leases reads all of this index, as before.
DROP INDEX platform.jobs_leased;
CREATE INDEX jobs_leased ON platform.jobs (kind, key) WHERE lease IS NOT NULL;
