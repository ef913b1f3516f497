-- The role that serves: it may read and append the log, and write everything else. It exists once
-- per server, so it may be there already, or the migrating user may not be allowed to make it:
-- then the service works as the migrating user, and the trigger alone guards the log.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'servicelane_app') THEN
        BEGIN
            CREATE ROLE servicelane_app NOLOGIN;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL; -- another database of this server was migrated at the same time
            WHEN insufficient_privilege THEN
                RAISE WARNING 'role servicelane_app not made: % may not create roles', current_user;
                RETURN;
        END;
    END IF;

    EXECUTE format('GRANT USAGE ON SCHEMA %I TO servicelane_app', current_schema());
    EXECUTE format(
        'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO servicelane_app',
        current_schema()
    );
    EXECUTE format(
        'ALTER DEFAULT PRIVILEGES IN SCHEMA %I'
        ' GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO servicelane_app',
        current_schema()
    );
    REVOKE UPDATE, DELETE, TRUNCATE ON event FROM servicelane_app;
    REVOKE UPDATE, DELETE, TRUNCATE ON kpi_published FROM servicelane_app; -- restated, never changed
    REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM servicelane_app;

    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        BEGIN -- who makes a role may grant it, but is since PostgreSQL 16 no member that may use it
            EXECUTE format('GRANT servicelane_app TO %I', current_user);
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE WARNING 'role servicelane_app exists, but % may not become it', current_user;
        END;
    END IF;
END
$$;
