-- Writes what one group of appends decided, in one round trip: heads by compare-and-set, events,
-- personal fields, states, clocks, quarantined items, answers to repeat. All or nothing.
--
-- A head that moved since it was read raises SL001 (its store in DETAIL) and nothing is written.
-- Heads are taken in order of store code, before anything else: the lock order of every writer.
-- Returns the quarantine id under which each quarantined item now lies (an older one if the same
-- bytes wait already).
CREATE OR REPLACE FUNCTION append_group(doc jsonb)
RETURNS TABLE (quarantine_store text, item_hash bytea, item_id text)
LANGUAGE plpgsql AS $$
DECLARE
    head record;
BEGIN
    FOR head IN
        SELECT h.* FROM jsonb_to_recordset(doc -> 'heads')
            AS h (store_id text, expected bigint, expected_waiting integer, seq bigint,
                  recorded_at timestamptz, waiting_retractions integer)
         ORDER BY h.store_id COLLATE "C"
    LOOP
        UPDATE stream_head t
           SET seq = head.seq, recorded_at = head.recorded_at,
               waiting_retractions = head.waiting_retractions
         WHERE t.store_id = head.store_id AND t.seq = head.expected
           AND t.waiting_retractions = head.expected_waiting;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the head of store % moved', head.store_id
                USING ERRCODE = 'SL001', DETAIL = head.store_id;
        END IF;
    END LOOP;

    IF doc ? 'event' THEN
        INSERT INTO event (store_id, seq, source, event_id, type, kind, key, subject, occurred_at,
                           recorded_at, schema_version, correlation_id, causation_id, data,
                           content_hash)
        SELECT store_id, seq, source, event_id, type, r.kind, r.key, subject, occurred_at,
               recorded_at, schema_version, correlation_id, causation_id, data, content_hash
          FROM jsonb_populate_recordset(NULL::event, doc -> 'event') r;
    END IF;
    IF doc ? 'personal' THEN
        INSERT INTO personal (store_id, seq, kind, key, customer_no, fields)
        SELECT store_id, seq, r.kind, r.key, customer_no, fields
          FROM jsonb_populate_recordset(NULL::personal, doc -> 'personal') r;
    END IF;
    IF doc ? 'repair_order' THEN
        INSERT INTO repair_order AS t (store_id, ro_number, version, state, status, stage,
            work_type, advisor, technician, customer_no, vin, opened_at, promised_at, settled_at,
            delivered_at, has_comeback)
        SELECT store_id, ro_number, version, state, status, stage, work_type, advisor, technician,
               customer_no, vin, opened_at, promised_at, settled_at, delivered_at, has_comeback
          FROM jsonb_populate_recordset(NULL::repair_order, doc -> 'repair_order')
        ON CONFLICT (store_id, ro_number) DO UPDATE SET
            version = excluded.version, state = excluded.state, status = excluded.status,
            stage = excluded.stage, work_type = excluded.work_type, advisor = excluded.advisor,
            technician = excluded.technician, customer_no = excluded.customer_no,
            vin = excluded.vin, opened_at = excluded.opened_at,
            promised_at = excluded.promised_at, settled_at = excluded.settled_at,
            delivered_at = excluded.delivered_at, has_comeback = excluded.has_comeback;
    END IF;
    IF doc ? 'follow_up' THEN
        INSERT INTO follow_up AS t (store_id, follow_up_id, version, state, ro_number, customer_no,
            kind, status, assignee, missed_on_arrival, opens_at, target_at, due_at, completed_at,
            overdue)
        SELECT store_id, follow_up_id, version, state, ro_number, customer_no, r.kind, status,
               assignee, missed_on_arrival, opens_at, target_at, due_at, completed_at, overdue
          FROM jsonb_populate_recordset(NULL::follow_up, doc -> 'follow_up') r
        ON CONFLICT (store_id, follow_up_id) DO UPDATE SET
            version = excluded.version, state = excluded.state, ro_number = excluded.ro_number,
            customer_no = excluded.customer_no, kind = excluded.kind, status = excluded.status,
            assignee = excluded.assignee, missed_on_arrival = excluded.missed_on_arrival,
            opens_at = excluded.opens_at, target_at = excluded.target_at,
            due_at = excluded.due_at, completed_at = excluded.completed_at,
            overdue = excluded.overdue;
    END IF;
    IF doc ? 'complaint' THEN
        INSERT INTO complaint AS t (store_id, complaint_id, version, state, ro_number, customer_no,
            status, nature, severity, responsible, opened_at, contact_due_at, contacted_at,
            overdue)
        SELECT store_id, complaint_id, version, state, ro_number, customer_no, status, nature,
               severity, responsible, opened_at, contact_due_at, contacted_at, overdue
          FROM jsonb_populate_recordset(NULL::complaint, doc -> 'complaint')
        ON CONFLICT (store_id, complaint_id) DO UPDATE SET
            version = excluded.version, state = excluded.state, ro_number = excluded.ro_number,
            customer_no = excluded.customer_no, status = excluded.status,
            nature = excluded.nature, severity = excluded.severity,
            responsible = excluded.responsible, opened_at = excluded.opened_at,
            contact_due_at = excluded.contact_due_at, contacted_at = excluded.contacted_at,
            overdue = excluded.overdue;
    END IF;
    IF doc ? 'customer' THEN
        INSERT INTO customer (store_id, customer_no, version, state)
        SELECT store_id, customer_no, version, state
          FROM jsonb_populate_recordset(NULL::customer, doc -> 'customer')
        ON CONFLICT (store_id, customer_no) DO UPDATE SET
            version = excluded.version, state = excluded.state;
    END IF;
    IF doc ? 'vehicle' THEN
        INSERT INTO vehicle (store_id, vin, version, state, customer_no)
        SELECT store_id, vin, version, state, customer_no
          FROM jsonb_populate_recordset(NULL::vehicle, doc -> 'vehicle')
        ON CONFLICT (store_id, vin) DO UPDATE SET
            version = excluded.version, state = excluded.state,
            customer_no = excluded.customer_no;
    END IF;
    IF doc ? 'staff' THEN
        INSERT INTO staff (store_id, staff_no, version, state)
        SELECT store_id, staff_no, version, state
          FROM jsonb_populate_recordset(NULL::staff, doc -> 'staff')
        ON CONFLICT (store_id, staff_no) DO UPDATE SET
            version = excluded.version, state = excluded.state;
    END IF;
    IF doc ? 'timecard' THEN
        INSERT INTO timecard (store_id, key, version, state, work_date)
        SELECT store_id, r.key, version, state, work_date
          FROM jsonb_populate_recordset(NULL::timecard, doc -> 'timecard') r
        ON CONFLICT (store_id, key) DO UPDATE SET
            version = excluded.version, state = excluded.state, work_date = excluded.work_date;
    END IF;
    IF doc ? 'clock' THEN
        INSERT INTO clock AS t (store_id, kind, key, name, opens_at, target_at, due_at, next_at,
                                state, policy_version, detected_at, lag_seconds, failures, error)
        SELECT store_id, r.kind, r.key, name, opens_at, target_at, due_at, next_at, state,
               policy_version, detected_at, lag_seconds, failures, error
          FROM jsonb_populate_recordset(NULL::clock, doc -> 'clock') r
        ON CONFLICT (store_id, kind, key, name) DO UPDATE SET
            opens_at = excluded.opens_at, target_at = excluded.target_at,
            due_at = excluded.due_at, next_at = excluded.next_at, state = excluded.state,
            policy_version = excluded.policy_version,
            -- what was measured is of that deadline; another one begins anew
            detected_at = CASE WHEN excluded.due_at = t.due_at
                THEN coalesce(excluded.detected_at, t.detected_at) ELSE excluded.detected_at END,
            lag_seconds = CASE WHEN excluded.due_at = t.due_at
                THEN coalesce(excluded.lag_seconds, t.lag_seconds) ELSE excluded.lag_seconds END,
            failures = excluded.failures, error = excluded.error;
    END IF;
    IF doc ? 'gone' THEN
        -- every event of these subjects is retracted: they never were
        DELETE FROM repair_order t
         USING jsonb_to_recordset(doc -> 'gone') AS r (store_id text, kind text, key text)
         WHERE r.kind = 'repair_order' AND t.store_id = r.store_id AND t.ro_number = r.key;
        DELETE FROM follow_up t
         USING jsonb_to_recordset(doc -> 'gone') AS r (store_id text, kind text, key text)
         WHERE r.kind = 'follow_up' AND t.store_id = r.store_id AND t.follow_up_id = r.key;
        DELETE FROM complaint t
         USING jsonb_to_recordset(doc -> 'gone') AS r (store_id text, kind text, key text)
         WHERE r.kind = 'complaint' AND t.store_id = r.store_id AND t.complaint_id = r.key;
        DELETE FROM customer t
         USING jsonb_to_recordset(doc -> 'gone') AS r (store_id text, kind text, key text)
         WHERE r.kind = 'customer' AND t.store_id = r.store_id AND t.customer_no = r.key;
        DELETE FROM vehicle t
         USING jsonb_to_recordset(doc -> 'gone') AS r (store_id text, kind text, key text)
         WHERE r.kind = 'vehicle' AND t.store_id = r.store_id AND t.vin = r.key;
        DELETE FROM staff t
         USING jsonb_to_recordset(doc -> 'gone') AS r (store_id text, kind text, key text)
         WHERE r.kind = 'staff' AND t.store_id = r.store_id AND t.staff_no = r.key;
        DELETE FROM timecard t
         USING jsonb_to_recordset(doc -> 'gone') AS r (store_id text, kind text, key text)
         WHERE r.kind = 'timecard' AND t.store_id = r.store_id AND t.key = r.key;
    END IF;
    IF doc ? 'clockless' THEN
        DELETE FROM clock t
         USING jsonb_to_recordset(doc -> 'clockless') AS r (store_id text, kind text, key text)
         WHERE t.store_id = r.store_id AND t.kind = r.kind AND t.key = r.key;
    END IF;
    IF doc ? 'idempotency' THEN
        INSERT INTO idempotency (store_id, key, principal, request_hash, status, headers, body,
                                 created_at)
        SELECT store_id, r.key, principal, request_hash, status, headers, body, created_at
          FROM jsonb_populate_recordset(NULL::idempotency, doc -> 'idempotency') r;
    END IF;
    IF doc ? 'quarantine' THEN
        RETURN QUERY
        INSERT INTO quarantine AS q (store_id, quarantine_id, state, reason, errors, body,
            body_hash, content_type, attributes, source, event_id, type, subject, target_source,
            target_id, received_at, last_seen_at, seen_count)
        SELECT r.store_id, r.quarantine_id, r.state, r.reason, r.errors, r.body, r.body_hash,
               r.content_type, r.attributes, r.source, r.event_id, r.type, r.subject,
               r.target_source, r.target_id, r.received_at, r.last_seen_at, r.seen_count
          FROM jsonb_populate_recordset(NULL::quarantine, doc -> 'quarantine') r
         ORDER BY r.store_id, r.body_hash -- two writers of the same items wait for each other
        ON CONFLICT (store_id, body_hash) WHERE state = 'waiting' DO UPDATE SET
            reason = excluded.reason, errors = excluded.errors,
            target_source = excluded.target_source, target_id = excluded.target_id,
            seen_count = q.seen_count + excluded.seen_count,
            last_seen_at = excluded.last_seen_at
        RETURNING q.store_id, q.body_hash, q.quarantine_id;
    END IF;
    IF doc ? 'resolved' THEN
        -- among them may be items that came in just now
        UPDATE quarantine q
           SET state = r.state, reason = coalesce(r.reason, q.reason),
               errors = coalesce(r.errors, q.errors),
               target_source = coalesce(r.target_source, q.target_source),
               target_id = coalesce(r.target_id, q.target_id),
               seq = r.seq, resolved_at = r.resolved_at, last_seen_at = r.last_seen_at
          FROM jsonb_populate_recordset(NULL::quarantine, doc -> 'resolved') r
         WHERE q.store_id = r.store_id AND q.quarantine_id = r.quarantine_id;
    END IF;
END
$$;
