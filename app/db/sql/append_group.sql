-- Writes what one group of appends decided, in one round trip: heads by compare-and-set, events,
-- personal fields, states, clocks, quarantined items, answers to repeat. All or nothing.
--
-- A head that moved since it was read raises SL001 (its store in DETAIL) and nothing is written;
-- so does a snapshot that was repeated since its repeats were read.
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

    IF doc ? 'repeats_read' THEN
        -- a repeat moves no head, so what was read of repeats is compared by itself
        IF EXISTS (
            SELECT FROM jsonb_to_recordset(doc -> 'repeats_read')
                AS r (store_id text, seq bigint, last_at timestamptz)
              LEFT JOIN snapshot_repeat t ON t.store_id = r.store_id AND t.seq = r.seq
             WHERE t.last_at IS DISTINCT FROM r.last_at
        ) THEN
            RAISE EXCEPTION 'a snapshot was repeated meanwhile' USING ERRCODE = 'SL001';
        END IF;
    END IF;
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
    IF doc ? 'snapshot_repeat' THEN
        INSERT INTO snapshot_repeat AS t (store_id, seq, last_at)
        SELECT store_id, seq, last_at
          FROM jsonb_populate_recordset(NULL::snapshot_repeat, doc -> 'snapshot_repeat')
        ON CONFLICT (store_id, seq) DO UPDATE SET
            last_at = greatest(t.last_at, excluded.last_at);
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
        INSERT INTO vehicle (store_id, vin, spelled_alike, version, state, customer_no)
        SELECT store_id, vin, spelled_alike, version, state, customer_no
          FROM jsonb_populate_recordset(NULL::vehicle, doc -> 'vehicle')
        ON CONFLICT (store_id, vin) DO UPDATE SET
            version = excluded.version, state = excluded.state,
            customer_no = excluded.customer_no;
    END IF;
    IF doc ? 'relinked' THEN
        -- what lies beside an order's events is the customer's as soon as that is known (A19)
        UPDATE personal p
           SET customer_no = r.customer_no
          FROM jsonb_to_recordset(doc -> 'relinked')
            AS r (store_id text, kind text, key text, customer_no text)
         WHERE p.store_id = r.store_id AND p.kind = r.kind AND p.key = r.key
           AND p.customer_no IS DISTINCT FROM r.customer_no;
    END IF;
    IF doc ? 'survivor' THEN
        UPDATE customer t
           SET surviving_no = r.surviving_no
          FROM jsonb_to_recordset(doc -> 'survivor')
            AS r (store_id text, customer_no text, surviving_no text)
         WHERE t.store_id = r.store_id AND t.customer_no = r.customer_no
           AND t.surviving_no IS DISTINCT FROM r.surviving_no;
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
    IF doc ? 'unnamed' THEN
        -- whom these subjects named is written anew below, as far as they still name somebody
        DELETE FROM staff_mention t
         USING jsonb_to_recordset(doc -> 'unnamed') AS r (store_id text, kind text, key text)
         WHERE t.store_id = r.store_id AND t.kind = r.kind AND t.key = r.key;
    END IF;
    IF doc ? 'staff_mention' THEN
        INSERT INTO staff_mention (store_id, kind, key, surrogate, role, first_seen_at,
                                   last_seen_at)
        SELECT store_id, r.kind, r.key, surrogate, role, first_seen_at, last_seen_at
          FROM jsonb_populate_recordset(NULL::staff_mention, doc -> 'staff_mention') r
        ON CONFLICT (store_id, kind, key, surrogate, role) DO UPDATE SET
            first_seen_at = excluded.first_seen_at, last_seen_at = excluded.last_seen_at;
    END IF;
    IF doc ? 'feed' THEN
        INSERT INTO feed (store_id, source, version, state, silent)
        SELECT store_id, r.source, version, state, silent
          FROM jsonb_populate_recordset(NULL::feed, doc -> 'feed') r
        ON CONFLICT (store_id, source) DO UPDATE SET
            version = excluded.version, state = excluded.state, silent = excluded.silent;
    END IF;
    IF doc ? 'backlog' THEN
        INSERT INTO backlog (store_id, key, version, state, growing)
        SELECT store_id, r.key, version, state, growing
          FROM jsonb_populate_recordset(NULL::backlog, doc -> 'backlog') r
        ON CONFLICT (store_id, key) DO UPDATE SET
            version = excluded.version, state = excluded.state, growing = excluded.growing;
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
    -- what was received: its rows come in order of source, so that two writers of the same feeds
    -- wait for each other; the quarantine's come after them, for every writer
    IF doc ? 'feed_look' THEN
        PERFORM FROM feed_source t
          JOIN (SELECT store_id, source
                  FROM jsonb_populate_recordset(NULL::feed_source, doc -> 'feed_look')
                 UNION ALL
                SELECT store_id, source
                  FROM jsonb_populate_recordset(NULL::feed_source, doc -> 'feed_source')) r
            ON t.store_id = r.store_id AND t.source = r.source
         ORDER BY t.store_id, t.source FOR UPDATE OF t;
    END IF;
    IF doc ? 'feed_source' THEN
        INSERT INTO feed_source AS t (store_id, source, first_seen_at, last_seen_at, look_at)
        SELECT store_id, r.source, first_seen_at, last_seen_at, look_at
          FROM jsonb_populate_recordset(NULL::feed_source, doc -> 'feed_source') r
         ORDER BY store_id, r.source
        ON CONFLICT (store_id, source) DO UPDATE SET
            first_seen_at = least(t.first_seen_at, excluded.first_seen_at),
            last_seen_at = greatest(t.last_seen_at, excluded.last_seen_at),
            -- one that was silent is heard of again: to be looked at now
            look_at = CASE WHEN t.silent THEN excluded.first_seen_at ELSE t.look_at END,
            resumed_at = CASE WHEN t.silent
                THEN coalesce(t.resumed_at, excluded.first_seen_at) END;
    END IF;
    IF doc ? 'feed_hour' THEN
        INSERT INTO feed_hour AS t (store_id, source, hour, events, duplicates, quarantined, late,
                                    lag_counts, lag_max_seconds, last_seen_at, last_occurred_at)
        SELECT store_id, r.source, hour, events, duplicates, quarantined, late, lag_counts,
               lag_max_seconds, last_seen_at, last_occurred_at
          FROM jsonb_populate_recordset(NULL::feed_hour, doc -> 'feed_hour') r
         ORDER BY store_id, r.source, hour
        ON CONFLICT (store_id, source, hour) DO UPDATE SET
            events = t.events + excluded.events,
            duplicates = t.duplicates + excluded.duplicates,
            quarantined = t.quarantined + excluded.quarantined,
            late = t.late + excluded.late,
            lag_counts = ARRAY[
                t.lag_counts[1] + excluded.lag_counts[1],
                t.lag_counts[2] + excluded.lag_counts[2],
                t.lag_counts[3] + excluded.lag_counts[3],
                t.lag_counts[4] + excluded.lag_counts[4],
                t.lag_counts[5] + excluded.lag_counts[5],
                t.lag_counts[6] + excluded.lag_counts[6],
                t.lag_counts[7] + excluded.lag_counts[7],
                t.lag_counts[8] + excluded.lag_counts[8],
                t.lag_counts[9] + excluded.lag_counts[9],
                t.lag_counts[10] + excluded.lag_counts[10],
                t.lag_counts[11] + excluded.lag_counts[11],
                t.lag_counts[12] + excluded.lag_counts[12]
            ],
            lag_max_seconds = greatest(t.lag_max_seconds, excluded.lag_max_seconds),
            last_seen_at = greatest(t.last_seen_at, excluded.last_seen_at),
            last_occurred_at = greatest(t.last_occurred_at, excluded.last_occurred_at);
    END IF;
    IF doc ? 'feed_look' THEN
        UPDATE feed_source t
           SET silent = r.silent,
               -- heard of again while it was looked at: to be looked at once more
               look_at = CASE WHEN t.last_seen_at > r.last_seen_at THEN t.last_seen_at
                              ELSE r.look_at END,
               resumed_at = NULL
          FROM jsonb_populate_recordset(NULL::feed_source, doc -> 'feed_look') r
         WHERE t.store_id = r.store_id AND t.source = r.source;
    END IF;
    IF doc ? 'quarantine' THEN
        RETURN QUERY
        INSERT INTO quarantine AS q (store_id, quarantine_id, state, reason, errors, body,
            body_hash, content_type, attributes, source, event_id, type, subject, target_source,
            target_id, received_at, last_seen_at, seen_count, awaits_store, alike_hash)
        SELECT r.store_id, r.quarantine_id, r.state, r.reason, r.errors, r.body, r.body_hash,
               r.content_type, r.attributes, r.source, r.event_id, r.type, r.subject,
               r.target_source, r.target_id, r.received_at, r.last_seen_at, r.seen_count,
               r.awaits_store, r.alike_hash
          FROM jsonb_populate_recordset(NULL::quarantine, doc -> 'quarantine') r
         ORDER BY r.store_id, r.body_hash -- two writers of the same items wait for each other
        ON CONFLICT (store_id, body_hash) WHERE state = 'waiting' DO UPDATE SET
            -- the faults of one that was corrected are those of its correction
            reason = CASE WHEN q.corrections IS NULL
                THEN excluded.reason ELSE q.reason END,
            errors = CASE WHEN q.corrections IS NULL
                THEN excluded.errors ELSE q.errors END,
            target_source = CASE WHEN q.corrections IS NULL
                THEN excluded.target_source ELSE q.target_source END,
            target_id = CASE WHEN q.corrections IS NULL
                THEN excluded.target_id ELSE q.target_id END,
            awaits_store = coalesce(excluded.awaits_store, q.awaits_store),
            seen_count = q.seen_count + excluded.seen_count,
            last_seen_at = excluded.last_seen_at
        RETURNING q.store_id, q.body_hash, q.quarantine_id;
    END IF;
    IF doc ? 'resolved' THEN
        -- among them may be items that came in just now. What is done stays done, but for one that
        -- was discarded while it entered the log: the log has it. They are taken in the order in
        -- which everybody takes items.
        PERFORM FROM jsonb_to_recordset(doc -> 'resolved')
                AS r (store_id text, quarantine_id text)
           JOIN quarantine q ON q.store_id = r.store_id AND q.quarantine_id = r.quarantine_id
          ORDER BY q.store_id, q.body_hash FOR UPDATE OF q;
        UPDATE quarantine q
           SET state = r.state, reason = coalesce(r.reason, q.reason),
               errors = coalesce(r.errors, q.errors),
               target_source = coalesce(r.target_source, q.target_source),
               target_id = coalesce(r.target_id, q.target_id),
               seq = r.seq, resolved_at = r.resolved_at, last_seen_at = r.last_seen_at,
               resolved_by = r.resolved_by, run_id = coalesce(r.run_id, q.run_id)
          FROM jsonb_populate_recordset(NULL::quarantine, doc -> 'resolved') r
         WHERE q.store_id = r.store_id AND q.quarantine_id = r.quarantine_id
           AND (q.state = 'waiting' OR q.state = 'discarded' AND r.state = 'replayed');
    END IF;
    IF doc ? 'seen_again' THEN
        -- what is known already, most of it done long ago: counted there, by what it is by now
        PERFORM FROM jsonb_to_recordset(doc -> 'seen_again')
                AS r (store_id text, quarantine_id text)
           JOIN quarantine q ON q.store_id = r.store_id AND q.quarantine_id = r.quarantine_id
          ORDER BY q.store_id, q.body_hash, q.quarantine_id FOR UPDATE OF q;
        UPDATE quarantine q
           SET seen_count = q.seen_count
                   + CASE WHEN q.state = 'waiting' THEN r.times ELSE 0 END,
               last_seen_at = CASE WHEN q.state = 'waiting' THEN greatest(q.last_seen_at, r.at)
                                   ELSE q.last_seen_at END,
               again_count = q.again_count
                   + CASE WHEN q.state = 'waiting' THEN 0 ELSE r.times END,
               again_at = CASE WHEN q.state = 'waiting' THEN q.again_at
                               ELSE greatest(q.again_at, r.at) END
          FROM jsonb_to_recordset(doc -> 'seen_again')
            AS r (store_id text, quarantine_id text, times integer, at timestamptz)
         WHERE q.store_id = r.store_id AND q.quarantine_id = r.quarantine_id;
    END IF;
END
$$;
