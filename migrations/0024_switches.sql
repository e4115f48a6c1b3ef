-- Switches that racks read by SNMP.

CREATE TABLE switch (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         TEXT NOT NULL CONSTRAINT switch_name_unique UNIQUE
                 CONSTRAINT switch_name_format CHECK (name ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    address      TEXT NOT NULL CONSTRAINT switch_address_given CHECK (length(address) BETWEEN 1 AND 253),
    port         INTEGER NOT NULL CONSTRAINT switch_port_range CHECK (port BETWEEN 1 AND 65535),
    -- how one is let in, for people
    access       TEXT NOT NULL,
    -- rackwright_common::switch::SnmpAccess as JSON, sealed
    secret       BYTEA NOT NULL,
    poll_seconds INTEGER NOT NULL CONSTRAINT switch_poll_range CHECK (poll_seconds BETWEEN 10 AND 86400),
    -- rackwright_common::switch::SwitchReading, the last one
    reading      JSONB,
    read_at      TIMESTAMPTZ,
    -- the rack that tried last
    rack_id      BIGINT REFERENCES rack (id) ON DELETE SET NULL,
    -- why it could not be read the last time
    error        TEXT,
    next_poll_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- What a rack is to do at a switch. As rack_task, whose numbers it shares: a rack's heartbeat names both.
CREATE TABLE switch_task (
    id            BIGINT PRIMARY KEY DEFAULT nextval(pg_get_serial_sequence('rack_task', 'id')),
    switch_id     BIGINT NOT NULL REFERENCES switch (id) ON DELETE CASCADE,
    -- rackwright_common::switch::SwitchAction
    action        JSONB NOT NULL,
    -- who asked for it
    actor         TEXT NOT NULL,
    -- could not do it the last time: others go first
    avoid_rack_id BIGINT REFERENCES rack (id) ON DELETE SET NULL,
    status        TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'done')),
    rack_id       BIGINT REFERENCES rack (id) ON DELETE SET NULL,
    claim         BIGINT NOT NULL DEFAULT 0,
    claimed_until TIMESTAMPTZ,
    -- why it failed; none of one that was done
    error         JSONB,
    created_at    TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at    TIMESTAMPTZ NOT NULL
);
CREATE INDEX switch_task_open ON switch_task (switch_id, id) WHERE status <> 'done';
CREATE TRIGGER switch_task_notify AFTER INSERT ON switch_task FOR EACH STATEMENT EXECUTE FUNCTION notify_task();

-- At which access port a switch has heard which interface of a machine or rack the last time.
CREATE TABLE switch_place (
    mac       TEXT NOT NULL,
    switch_id BIGINT NOT NULL REFERENCES switch (id) ON DELETE CASCADE,
    port      TEXT NOT NULL,
    vid       INTEGER NOT NULL,
    PRIMARY KEY (mac, switch_id)
);
CREATE INDEX switch_place_switch ON switch_place (switch_id);
