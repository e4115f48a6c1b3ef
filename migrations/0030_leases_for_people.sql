-- Since when a client holds its address under its name, by which the first of several clients of one name has it in the DNS;
-- nothing of those that were there before, or that a region of the version before has stored.
ALTER TABLE lease ADD COLUMN named_at TIMESTAMPTZ;

-- Dynamic IPv6 addresses as racks last told of them, for people: who may have which follows from the client's identifier.
CREATE TABLE lease6 (
    address    INET PRIMARY KEY CHECK (family(address) = 6),
    -- the client's identifier (RFC 8415 section 11), hexadecimal
    duid       TEXT NOT NULL,
    -- where it is known
    mac        TEXT,
    rack_id    BIGINT NOT NULL REFERENCES rack (id) ON DELETE CASCADE,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX lease6_expires ON lease6 (expires_at);
