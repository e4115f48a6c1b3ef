-- Tries to log in of the last minute, for all regions together. A region of the version before counts in its own memory.

CREATE TABLE login_try (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    -- SHA-256 of the name as it was typed: somebody's password may have been typed as one
    name    BYTEA NOT NULL,
    -- an IPv6 address stands for its /64, which one host may have
    address INET
);
CREATE INDEX login_try_address ON login_try (address, at);
CREATE INDEX login_try_at ON login_try (at);
