-- Who may do what, and what they did: roles in pools, limits, scopes of tokens, sessions that can be ended one by one, and the audit.

ALTER TABLE "user"
    -- machines that may be theirs at once; none: no limit
    ADD COLUMN machine_limit INTEGER CONSTRAINT user_machine_limit_range CHECK (machine_limit >= 0),
    -- sees the machines of the pools that they have a role in, and no others
    ADD COLUMN restricted BOOLEAN NOT NULL DEFAULT FALSE;
-- Names that Rackwright's own parts have in events. Users from before keep theirs.
ALTER TABLE "user" ADD CONSTRAINT user_name_reserved CHECK (name NOT IN ('rackwright', 'agent', 'cloud-init')) NOT VALID;
CREATE INDEX machine_owner ON machine (owner_id) WHERE owner_id IS NOT NULL;
CREATE INDEX machine_pool ON machine (pool);

-- What a user may do with the machines of a pool, where that is more than they may do everywhere.
CREATE TABLE role_binding (
    user_id BIGINT NOT NULL REFERENCES "user" (id) ON DELETE CASCADE,
    pool    TEXT NOT NULL CONSTRAINT role_binding_pool_exists REFERENCES pool (name) ON DELETE CASCADE,
    role    TEXT NOT NULL CONSTRAINT role_binding_role_known CHECK (role IN ('viewer', 'user', 'operator', 'administrator')),
    PRIMARY KEY (user_id, pool)
);

-- The most that whoever shows the token may do; none: as much as its user.
ALTER TABLE token ADD COLUMN role TEXT CONSTRAINT token_role_known CHECK (role IN ('viewer', 'user', 'operator', 'administrator'));

-- The same, of the token with which an action on many machines was asked for.
ALTER TABLE bulk ADD COLUMN role TEXT CONSTRAINT bulk_role_known CHECK (role IN ('viewer', 'user', 'operator', 'administrator'));

ALTER TABLE session
    ADD COLUMN id BIGINT GENERATED ALWAYS AS IDENTITY CONSTRAINT session_id_unique UNIQUE,
    -- from where, and by which program, it was begun
    ADD COLUMN source TEXT,
    ADD COLUMN program TEXT,
    -- to about a minute
    ADD COLUMN last_used_at TIMESTAMPTZ;

-- The audit: every event of a person, in the order of commits, each hashed together with the one before. Whoever changes or
-- removes an entry breaks the chain; whoever makes all of it anew cannot make the hash that somebody noted elsewhere.
CREATE TABLE audit (
    -- 1, 2, 3 … without gaps
    number   BIGINT PRIMARY KEY,
    -- JSON, as it was hashed
    record   TEXT NOT NULL,
    -- SHA-256 over the hash of the entry before (32 zero bytes for the first), the number in decimal, a line feed, and the record
    hash     BYTEA NOT NULL
);
CREATE INDEX audit_actor ON audit ((record::jsonb ->> 'actor'), number);
CREATE TABLE audit_head (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    number   BIGINT NOT NULL,
    hash     BYTEA NOT NULL
);
INSERT INTO audit_head (number, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- Runs at commit, after every other lock of the transaction was taken: waiting for the head cannot close a circle.
CREATE FUNCTION append_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head audit_head;
    entry TEXT;
    next_hash BYTEA;
BEGIN
    SELECT * INTO STRICT head FROM audit_head FOR UPDATE;
    entry := jsonb_build_object(
        'event', NEW.id, 'at', to_char(NEW.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'actor', NEW.actor,
        'from', coalesce(NEW.data ->> 'from', nullif(current_setting('rackwright.source', TRUE), '')),
        'kind', NEW.kind, 'machine', NEW.machine_id, 'operation', NEW.operation_id, 'message', NEW.message, 'data', NEW.data)::text;
    next_hash := sha256(head.hash || convert_to((head.number + 1)::text || E'\n' || entry, 'UTF8'));
    INSERT INTO audit (number, record, hash) VALUES (head.number + 1, entry, next_hash);
    UPDATE audit_head SET number = head.number + 1, hash = next_hash;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER event_audit AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.actor NOT IN ('rackwright', 'agent', 'cloud-init') AND NEW.actor NOT LIKE '%:%') EXECUTE FUNCTION append_audit();

CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit is only added to' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
CREATE TRIGGER audit_stays BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change();
