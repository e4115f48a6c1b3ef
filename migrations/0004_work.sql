-- Work in progress. Everything that takes longer than a request is an operation; whoever runs it claims it for
-- ten seconds at a time, by the database's clock, and each claim raises its epoch.

CREATE TABLE operation (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            TEXT NOT NULL,
    machine_id      TEXT NOT NULL REFERENCES machine (id) ON DELETE CASCADE,
    status          TEXT NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'done', 'failed', 'aborted')),
    step            TEXT NOT NULL,
    -- what the step has to remember
    state           JSONB NOT NULL DEFAULT '{}',
    params          JSONB NOT NULL DEFAULT '{}',
    -- tries of the present step
    attempt         INTEGER NOT NULL DEFAULT 0,
    step_since      TIMESTAMPTZ NOT NULL DEFAULT now(),
    next_attempt_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    deadline        TIMESTAMPTZ NOT NULL,
    owner           TEXT,
    epoch           BIGINT NOT NULL DEFAULT 0,
    claimed_until   TIMESTAMPTZ,
    -- what it waits for, for people
    message         TEXT NOT NULL DEFAULT '',
    error           TEXT,
    abort_requested_by TEXT,
    requested_by    TEXT NOT NULL,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    finished_at     TIMESTAMPTZ
);
CREATE UNIQUE INDEX operation_one_running_per_machine ON operation (machine_id) WHERE status = 'running';
CREATE INDEX operation_due ON operation (next_attempt_at) WHERE status = 'running';
CREATE INDEX operation_machine ON operation (machine_id, id);

-- What the agent of a machine is to do on behalf of an operation, in order.
CREATE TABLE work_item (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation_id BIGINT NOT NULL REFERENCES operation (id) ON DELETE CASCADE,
    ordinal      INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    -- without secrets: those are derived from the master key when the item is given
    payload      JSONB NOT NULL DEFAULT '{}',
    status       TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'given', 'done', 'failed')),
    -- the boot it was given to
    boot_id      UUID,
    -- how often it was given to a new boot
    attempt      INTEGER NOT NULL DEFAULT 0,
    progress_seq BIGINT NOT NULL DEFAULT 0,
    percent      REAL,
    message      TEXT NOT NULL DEFAULT '',
    error        TEXT NOT NULL DEFAULT '',
    given_at     TIMESTAMPTZ,
    finished_at  TIMESTAMPTZ,
    duration_ms  BIGINT,
    CONSTRAINT work_item_ordinal_unique UNIQUE (operation_id, ordinal)
);

CREATE TABLE work_log (
    work_item_id BIGINT NOT NULL REFERENCES work_item (id) ON DELETE CASCADE,
    boot_id      UUID NOT NULL,
    seq          BIGINT NOT NULL,
    at           TIMESTAMPTZ NOT NULL DEFAULT now(),
    text         TEXT NOT NULL,
    PRIMARY KEY (work_item_id, boot_id, seq)
);

-- The ephemeral environment of a machine, as long as it runs.
CREATE TABLE agent_boot (
    boot_id      UUID PRIMARY KEY,
    machine_id   TEXT NOT NULL REFERENCES machine (id) ON DELETE CASCADE,
    operation_id BIGINT NOT NULL REFERENCES operation (id) ON DELETE CASCADE,
    version      TEXT NOT NULL,
    uptime_ms    BIGINT NOT NULL,
    hello_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_seen_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX agent_boot_operation ON agent_boot (operation_id, hello_at);

-- What only a rack can do. Claimed by a rack through whichever region it is connected to.
CREATE TABLE rack_task (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id    TEXT NOT NULL REFERENCES machine (id) ON DELETE CASCADE,
    operation_id  BIGINT REFERENCES operation (id) ON DELETE CASCADE,
    -- the operation's epoch when the task was written
    epoch         BIGINT NOT NULL DEFAULT 0,
    -- makes writing it twice harmless: step, attempt and purpose
    key           TEXT NOT NULL,
    -- rackwright_common::bmc::BmcAction
    action        JSONB NOT NULL,
    status        TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'done')),
    rack_id       BIGINT REFERENCES rack (id),
    claim         BIGINT NOT NULL DEFAULT 0,
    claimed_until TIMESTAMPTZ,
    -- {"Ok": BmcOutcome} or {"Err": BmcError}
    result        JSONB,
    created_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at    TIMESTAMPTZ NOT NULL,
    finished_at   TIMESTAMPTZ,
    CONSTRAINT rack_task_key_unique UNIQUE (machine_id, key)
);
CREATE INDEX rack_task_open ON rack_task (id) WHERE status <> 'done';

CREATE TABLE script_run (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id    TEXT NOT NULL REFERENCES machine (id) ON DELETE CASCADE,
    operation_id  BIGINT NOT NULL REFERENCES operation (id) ON DELETE CASCADE,
    work_item_id  BIGINT NOT NULL CONSTRAINT script_run_item_unique UNIQUE REFERENCES work_item (id) ON DELETE CASCADE,
    script_id     BIGINT NOT NULL REFERENCES script (id),
    name          TEXT NOT NULL,
    script_type   TEXT NOT NULL,
    hardware_type TEXT NOT NULL,
    -- the disk's serial or the NIC's MAC; empty for the whole machine
    target        TEXT NOT NULL DEFAULT '',
    status        TEXT NOT NULL DEFAULT 'pending'
                  CHECK (status IN ('pending', 'running', 'passed', 'failed', 'degraded', 'skipped', 'timed-out', 'aborted')),
    exit_code     INTEGER,
    stdout        TEXT NOT NULL DEFAULT '',
    stderr        TEXT NOT NULL DEFAULT '',
    -- name -> number or text
    results       JSONB NOT NULL DEFAULT '{}',
    -- an administrator says: does not count
    suppressed    BOOLEAN NOT NULL DEFAULT FALSE,
    started_at    TIMESTAMPTZ,
    ended_at      TIMESTAMPTZ
);
CREATE INDEX script_run_machine ON script_run (machine_id, id);

-- Wake-ups. A slow poll catches up with any that are lost.
CREATE FUNCTION notify_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rackwright_event', '');
    RETURN NULL;
END $$;
CREATE TRIGGER event_notify AFTER INSERT ON event FOR EACH STATEMENT EXECUTE FUNCTION notify_event();

CREATE FUNCTION notify_operation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rackwright_operation', '');
    RETURN NULL;
END $$;
CREATE TRIGGER operation_notify AFTER INSERT OR UPDATE OF next_attempt_at, abort_requested_by ON operation
    FOR EACH STATEMENT EXECUTE FUNCTION notify_operation();

CREATE FUNCTION notify_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rackwright_task', '');
    RETURN NULL;
END $$;
CREATE TRIGGER rack_task_notify AFTER INSERT ON rack_task FOR EACH STATEMENT EXECUTE FUNCTION notify_task();

CREATE FUNCTION notify_item() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rackwright_item', '');
    RETURN NULL;
END $$;
CREATE TRIGGER work_item_notify AFTER INSERT ON work_item FOR EACH STATEMENT EXECUTE FUNCTION notify_item();

-- The racks' picture of the world has changed.
CREATE FUNCTION notify_world() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('rackwright_world', '');
    RETURN NULL;
END $$;
CREATE TRIGGER machine_world AFTER INSERT OR DELETE OR UPDATE OF hostname, system_uuid, boot, boot_operation_id, boot_epoch, secure_boot
    ON machine FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER interface_world AFTER INSERT OR DELETE OR UPDATE OF mac, address ON interface
    FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER vlan_world AFTER INSERT OR DELETE OR UPDATE ON vlan FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER subnet_world AFTER INSERT OR DELETE OR UPDATE ON subnet FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER ip_range_world AFTER INSERT OR DELETE OR UPDATE ON ip_range FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER reservation_world AFTER INSERT OR DELETE OR UPDATE ON reservation FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER lease_block_world AFTER INSERT OR DELETE OR UPDATE ON lease_block FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER image_world AFTER INSERT OR DELETE ON image_file FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER setting_world AFTER INSERT OR DELETE OR UPDATE ON setting FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER rack_world AFTER INSERT OR UPDATE OF addresses ON rack FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
