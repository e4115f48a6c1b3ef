-- DHCP on N racks (docs/decisions/0007-dhcp-on-n-racks.md). `lease` stays what people are shown; these decide who may have
-- which dynamic address. A region of the version before does not write them, and grants blocks as it did.

-- The number of the last change. Who changes anything below holds a lock on this row until the end of its transaction, so
-- that numbers become visible in their order.
CREATE TABLE lease_change (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    number   BIGINT NOT NULL
);
INSERT INTO lease_change (number) VALUES (1);

-- Dynamic addresses that are somebody's, or not yet anybody's again; an address without a row is held by nobody.
CREATE TABLE lease_state (
    address    INET PRIMARY KEY,
    subnet_id  BIGINT NOT NULL REFERENCES subnet (id) ON DELETE CASCADE,
    -- rackwright_dhcp::ClientKey
    client     BYTEA NOT NULL,
    -- when its report was stored, and the lease's length; never too early
    expires_at TIMESTAMPTZ NOT NULL,
    -- rackwright_dhcp::racks::RowState
    state      TEXT NOT NULL CHECK (state IN ('held', 'ending', 'freed')),
    -- the number of its last change
    change     BIGINT NOT NULL
);
CREATE INDEX lease_state_change ON lease_state (change);
CREATE INDEX lease_state_due ON lease_state (expires_at) WHERE state = 'held';
CREATE INDEX lease_state_leaving ON lease_state (address) WHERE state <> 'held';

-- The racks that are told of a subnet's addresses, and asked before one is given to somebody else. A rack leaves when
-- the regions go on without it.
CREATE TABLE lease_member (
    rack_id   BIGINT NOT NULL REFERENCES rack (id) ON DELETE CASCADE,
    subnet_id BIGINT NOT NULL REFERENCES subnet (id) ON DELETE CASCADE,
    PRIMARY KEY (rack_id, subnet_id)
);
CREATE INDEX lease_member_subnet ON lease_member (subnet_id);

ALTER TABLE lease_block
    -- nothing is given from it before its rack has taken the changes up to this one
    ADD COLUMN since    BIGINT NOT NULL DEFAULT 1,
    -- its rack is to give it back: it is told of the block no more from this change on
    ADD COLUMN recalled BIGINT;

ALTER TABLE rack
    -- which lease file it has, and which start on it this is; none before the first report
    ADD COLUMN lease_memory UUID,
    ADD COLUMN lease_life   BIGINT NOT NULL DEFAULT 0,
    -- its facts up to this number are stored
    ADD COLUMN stored       BIGINT NOT NULL DEFAULT 0,
    -- the change up to which it has promised
    ADD COLUMN caught_up    BIGINT NOT NULL DEFAULT 0,
    -- its last report of leases
    ADD COLUMN heard_at     TIMESTAMPTZ,
    -- with less than this learned it gets all that there is
    ADD COLUMN floor        BIGINT NOT NULL DEFAULT 1,
    -- the regions go on without it
    ADD COLUMN muted        BOOLEAN NOT NULL DEFAULT FALSE,
    -- a person says that its box is off
    ADD COLUMN fenced_at    TIMESTAMPTZ,
    -- until then it may have given addresses of which it has lost the memory
    ADD COLUMN blind_until  TIMESTAMPTZ;

-- Lease times that are in force no more. A rack that was not heard since may still have given such leases.
CREATE TABLE lease_length_past (
    seconds INTEGER NOT NULL,
    until   TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE FUNCTION remember_lease_length() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO lease_length_past (seconds) VALUES (OLD.lease_seconds);
    RETURN NULL;
END $$;
CREATE TRIGGER subnet_lease_length AFTER UPDATE OF lease_seconds ON subnet
    FOR EACH ROW WHEN (OLD.lease_seconds > NEW.lease_seconds) EXECUTE FUNCTION remember_lease_length();
CREATE TRIGGER subnet_lease_length_gone AFTER DELETE ON subnet FOR EACH ROW EXECUTE FUNCTION remember_lease_length();
