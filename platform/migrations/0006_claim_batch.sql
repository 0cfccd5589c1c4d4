-- A batch whose effects are known beforehand: its claim and they go to PostgreSQL together. It is refused as a whole, and then
-- handled with care, if the position is elsewhere, an event was heard before, or one of the topic is parked.
CREATE FUNCTION platform.claim_batch(of_topic text, stands_at bigint, moves_to bigint, ids uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE platform.positions SET position = moves_to WHERE topic = of_topic AND position = stands_at;
  IF NOT FOUND OR EXISTS (SELECT FROM platform.parked WHERE topic = of_topic) THEN
    RAISE EXCEPTION 'not a batch to be handled as a whole';
  END IF;
  INSERT INTO platform.inbox (topic, id) SELECT of_topic, unnest(ids);
END
$$;
