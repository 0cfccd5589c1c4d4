-- Events come in the order of time: pages that know their range cost nothing a row, and serve who reads a day.
CREATE INDEX events_time ON events USING brin (time);
DROP INDEX events_topic;
