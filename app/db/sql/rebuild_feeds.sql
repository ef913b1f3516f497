-- Makes feed_hour and feed_source of a store anew, from its log and its quarantine. Rules that were
-- set for a feed stay. What a rebuild can't know is how many duplicates came: they leave no trace
-- but here.
--
-- An event that was replayed from quarantine counts where it entered the log, but nothing was heard
-- of its feed then: it came before, when the quarantine received it.
CREATE OR REPLACE FUNCTION rebuild_feeds(of_store text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM stream_head WHERE store_id = of_store FOR UPDATE;
    DELETE FROM feed_hour WHERE store_id = of_store;
    INSERT INTO feed_hour (store_id, source, hour, events, duplicates, quarantined, late,
                           lag_counts, lag_max_seconds, last_seen_at, last_occurred_at)
    SELECT of_store, r.source, r.hour, count(r.lag), 0, coalesce(sum(r.quarantined), 0),
           count(*) FILTER (WHERE r.lag > 86400),
           ARRAY[
               count(*) FILTER (WHERE r.class = 0),
               count(*) FILTER (WHERE r.class = 1),
               count(*) FILTER (WHERE r.class = 2),
               count(*) FILTER (WHERE r.class = 3),
               count(*) FILTER (WHERE r.class = 4),
               count(*) FILTER (WHERE r.class = 5),
               count(*) FILTER (WHERE r.class = 6),
               count(*) FILTER (WHERE r.class = 7),
               count(*) FILTER (WHERE r.class = 8),
               count(*) FILTER (WHERE r.class = 9),
               count(*) FILTER (WHERE r.class = 10),
               count(*) FILTER (WHERE r.class = 11)
           ],
           coalesce(floor(greatest(max(r.lag), 0)), 0), max(r.seen_at), max(r.occurred_at)
      FROM (
        SELECT e.source, date_trunc('hour', e.recorded_at, 'UTC') AS hour,
               extract(epoch FROM e.recorded_at - e.occurred_at) AS lag,
               -- upper ends of the classes: app/domain/feed_watch.py
               width_bucket(
                   extract(epoch FROM e.recorded_at - e.occurred_at),
                   ARRAY[10, 60, 300, 900, 3600, 14400, 86400, 259200, 604800, 2592000,
                         31536000]::numeric[]
               ) AS class,
               NULL::bigint AS quarantined,
               CASE WHEN NOT EXISTS (
                   SELECT FROM quarantine q
                    WHERE q.store_id = e.store_id AND q.state = 'replayed' AND q.seq = e.seq
               ) THEN e.recorded_at END AS seen_at,
               e.occurred_at
          FROM event e WHERE e.store_id = of_store
        UNION ALL
        SELECT q.source, date_trunc('hour', q.received_at, 'UTC'), NULL, NULL, q.seen_count,
               q.received_at, NULL
          FROM quarantine q WHERE q.store_id = of_store AND q.source IS NOT NULL
      ) r
     WHERE r.source = '/servicelane/desk'
        OR (r.source <> '/servicelane' AND r.source NOT LIKE '/servicelane/%')
     GROUP BY r.source, r.hour;

    INSERT INTO feed_source AS t (store_id, source, first_seen_at, last_seen_at, look_at)
    SELECT of_store, h.source, min(h.hour), max(h.last_seen_at), max(h.last_seen_at)
      FROM feed_hour h WHERE h.store_id = of_store AND h.last_seen_at IS NOT NULL
     GROUP BY h.store_id, h.source
    ON CONFLICT (store_id, source) DO UPDATE SET
        last_seen_at = excluded.last_seen_at,
        look_at = CASE WHEN t.silent THEN t.look_at ELSE excluded.look_at END;
END
$$;
