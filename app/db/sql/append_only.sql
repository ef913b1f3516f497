-- The log refuses UPDATE, DELETE and TRUNCATE, whoever asks: owners and superusers too, and in a
-- session whose session_replication_role is `replica`. Missing grants come first (grants.sql).
-- Statement level, so that a statement that would touch no row is refused as well.

CREATE FUNCTION event_is_append_only() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the event log is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'A correction is a new event: event.retracted, or the right fact again.';
END
$$;

CREATE TRIGGER event_is_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION event_is_append_only();

ALTER TABLE event ENABLE ALWAYS TRIGGER event_is_append_only;
