-- What racks see on the wire, and where that is at odds with the model.

-- Somebody that a rack has heard. Bounded: 4096 an interface, and nobody for longer than a month (region/src/network/wiring.rs).
CREATE TABLE discovery (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rack_id       BIGINT NOT NULL REFERENCES rack (id) ON DELETE CASCADE,
    -- of the rack
    interface     TEXT NOT NULL,
    mac           TEXT NOT NULL CHECK (mac ~ '^([0-9a-f]{2}:){5}[0-9a-f]{2}$'),
    -- none of the other end of the rack's own cable
    address       INET,
    hostname      TEXT,
    -- rackwright_common::inventory::LldpNeighbour
    lldp          JSONB,
    first_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_seen_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT discovery_unique UNIQUE NULLS NOT DISTINCT (rack_id, interface, mac, address)
);
CREATE INDEX discovery_mac ON discovery (mac);
CREATE INDEX discovery_address ON discovery (address);
CREATE INDEX discovery_seen ON discovery (last_seen_at);

-- MACs that nobody wants to hear of.
CREATE TABLE discovery_ignored (
    mac        TEXT PRIMARY KEY CHECK (mac ~ '^([0-9a-f]{2}:){5}[0-9a-f]{2}$'),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- Racks may ask every address of it who has it.
ALTER TABLE subnet ADD COLUMN active_scan BOOLEAN NOT NULL DEFAULT FALSE;

-- An interface that is elsewhere than the model says, as long as it is.
CREATE TABLE wiring_fault (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id TEXT REFERENCES machine (id) ON DELETE CASCADE,
    rack_id    BIGINT REFERENCES rack (id) ON DELETE CASCADE,
    interface  TEXT NOT NULL,
    switch     TEXT NOT NULL,
    port       TEXT NOT NULL,
    seen_vid   INTEGER NOT NULL,
    model_vid  INTEGER NOT NULL,
    message    TEXT NOT NULL,
    since      TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT wiring_fault_of_one CHECK (num_nonnulls(machine_id, rack_id) = 1),
    CONSTRAINT wiring_fault_unique UNIQUE NULLS NOT DISTINCT (machine_id, rack_id, interface)
);
