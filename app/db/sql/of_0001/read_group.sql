-- What one group of appends needs to know, in one round trip and one snapshot: the heads of its
-- stores, which identities the log already holds, and the states of the subjects it touches.
-- A repair order brings its follow-ups, a follow-up its order and that order's other follow-ups.
--
-- kind 'head': number = seq, body = {recorded_at, waiting_retractions}
-- kind 'identity': number = seq, key = position in id_* (from 1), hash = content hash
-- else a state: number = version, body = the state
CREATE OR REPLACE FUNCTION read_group(
    stores text[],
    id_stores text[], id_sources text[], id_ids text[],
    state_kinds text[], state_stores text[], state_keys text[]
) RETURNS TABLE (kind text, store_id text, key text, number bigint, hash bytea, body text)
LANGUAGE sql STABLE AS $$
    SELECT 'head', h.store_id, '', h.seq, NULL::bytea,
           jsonb_build_object('recorded_at', h.recorded_at,
                              'waiting_retractions', h.waiting_retractions)::text
      FROM unnest(stores) AS s (store_id)
      JOIN stream_head h ON h.store_id = s.store_id
    UNION ALL
    SELECT 'identity', e.store_id, i.position::text, e.seq, e.content_hash, NULL
      FROM unnest(id_stores, id_sources, id_ids) WITH ORDINALITY
           AS i (store_id, source, event_id, position)
      JOIN event e ON e.store_id = i.store_id AND e.source = i.source
                  AND e.event_id = i.event_id
    UNION ALL
    SELECT 'repair_order', t.store_id, t.ro_number, t.version, NULL, t.state::text
      FROM unnest(state_kinds, state_stores, state_keys) AS r (kind, store_id, key)
      JOIN repair_order t ON t.store_id = r.store_id AND t.ro_number = r.key
     WHERE r.kind = 'repair_order'
    UNION ALL
    SELECT 'follow_up', t.store_id, t.follow_up_id, t.version, NULL, t.state::text
      FROM unnest(state_kinds, state_stores, state_keys) AS r (kind, store_id, key)
      JOIN follow_up t ON t.store_id = r.store_id AND t.ro_number = r.key
     WHERE r.kind = 'repair_order'
    UNION ALL
    SELECT 'follow_up', t.store_id, t.follow_up_id, t.version, NULL, t.state::text
      FROM unnest(state_kinds, state_stores, state_keys) AS r (kind, store_id, key)
      JOIN follow_up t ON t.store_id = r.store_id AND t.follow_up_id = r.key
     WHERE r.kind = 'follow_up'
    UNION ALL
    SELECT 'follow_up', o.store_id, o.follow_up_id, o.version, NULL, o.state::text
      FROM unnest(state_kinds, state_stores, state_keys) AS r (kind, store_id, key)
      JOIN follow_up t ON t.store_id = r.store_id AND t.follow_up_id = r.key
      JOIN follow_up o ON o.store_id = t.store_id AND o.ro_number = t.ro_number
                      AND o.follow_up_id <> t.follow_up_id
     WHERE r.kind = 'follow_up'
    UNION ALL
    SELECT 'repair_order', o.store_id, o.ro_number, o.version, NULL, o.state::text
      FROM unnest(state_kinds, state_stores, state_keys) AS r (kind, store_id, key)
      JOIN follow_up t ON t.store_id = r.store_id AND t.follow_up_id = r.key
      JOIN repair_order o ON o.store_id = t.store_id AND o.ro_number = t.ro_number
     WHERE r.kind = 'follow_up'
    UNION ALL
    SELECT 'complaint', t.store_id, t.complaint_id, t.version, NULL, t.state::text
      FROM unnest(state_kinds, state_stores, state_keys) AS r (kind, store_id, key)
      JOIN complaint t ON t.store_id = r.store_id AND t.complaint_id = r.key
     WHERE r.kind = 'complaint'
    UNION ALL
    SELECT 'customer', t.store_id, t.customer_no, t.version, NULL, t.state::text
      FROM unnest(state_kinds, state_stores, state_keys) AS r (kind, store_id, key)
      JOIN customer t ON t.store_id = r.store_id AND t.customer_no = r.key
     WHERE r.kind = 'customer'
    UNION ALL
    SELECT 'vehicle', t.store_id, t.vin, t.version, NULL, t.state::text
      FROM unnest(state_kinds, state_stores, state_keys) AS r (kind, store_id, key)
      JOIN vehicle t ON t.store_id = r.store_id AND t.vin = r.key
     WHERE r.kind = 'vehicle'
    UNION ALL
    SELECT 'staff', t.store_id, t.staff_no, t.version, NULL, t.state::text
      FROM unnest(state_kinds, state_stores, state_keys) AS r (kind, store_id, key)
      JOIN staff t ON t.store_id = r.store_id AND t.staff_no = r.key
     WHERE r.kind = 'staff'
    UNION ALL
    SELECT 'timecard', t.store_id, t.key, t.version, NULL, t.state::text
      FROM unnest(state_kinds, state_stores, state_keys) AS r (kind, store_id, key)
      JOIN timecard t ON t.store_id = r.store_id AND t.key = r.key
     WHERE r.kind = 'timecard'
$$;
