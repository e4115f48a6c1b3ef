-- Names and time: domains, records, what is published, who gets copies of it; what regions and racks serve.

CREATE TABLE domain (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       TEXT NOT NULL CONSTRAINT domain_name_unique UNIQUE
               CONSTRAINT domain_name_format CHECK (length(name) <= 200
                   AND name ~ '^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    -- of records that have none of their own, seconds
    ttl        INTEGER NOT NULL DEFAULT 60 CONSTRAINT domain_ttl_range CHECK (ttl BETWEEN 1 AND 604800),
    -- machines are in it that name no other one; controllers always are
    is_default BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE UNIQUE INDEX domain_one_default ON domain (is_default) WHERE is_default;
INSERT INTO domain (name, is_default) VALUES ('rackwright.internal', TRUE);

CREATE TABLE dns_record (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain_id  BIGINT NOT NULL REFERENCES domain (id) ON DELETE CASCADE,
    -- in full, without the dot at its end
    name       TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 253),
    type       TEXT NOT NULL CONSTRAINT dns_record_type_known
               CHECK (type IN ('A', 'AAAA', 'CNAME', 'MX', 'NS', 'SRV', 'TXT', 'SSHFP', 'CAA')),
    data       TEXT NOT NULL,
    ttl        INTEGER CONSTRAINT dns_record_ttl_range CHECK (ttl BETWEEN 1 AND 604800),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT dns_record_unique UNIQUE (name, type, data)
);
CREATE INDEX dns_record_domain ON dns_record (domain_id);

ALTER TABLE machine ADD COLUMN domain_id BIGINT CONSTRAINT machine_domain_exists REFERENCES domain (id);

-- What is published: made of the above by whichever region looks first, the same for all. Rows that were taken back stay
-- for a while, so that copies are brought up to date by differences.
CREATE TABLE dns_zone (
    origin       TEXT PRIMARY KEY,
    serial       BIGINT NOT NULL,
    -- differences begin here
    oldest       BIGINT NOT NULL,
    minimum      INTEGER NOT NULL,
    content_hash TEXT NOT NULL DEFAULT '',
    -- no longer served; its serial is kept, should it come back
    gone         BOOLEAN NOT NULL DEFAULT FALSE,
    changed_at   TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE dns_published (
    zone   TEXT NOT NULL REFERENCES dns_zone (origin) ON DELETE CASCADE,
    name   TEXT NOT NULL,
    type   TEXT NOT NULL,
    ttl    INTEGER NOT NULL,
    data   TEXT NOT NULL,
    -- serials from which on, and from which on no more, it is there
    since  BIGINT NOT NULL,
    until  BIGINT
);
CREATE INDEX dns_published_present ON dns_published (zone, name, type) WHERE until IS NULL;
CREATE INDEX dns_published_name ON dns_published (name) WHERE until IS NULL;
CREATE INDEX dns_published_since ON dns_published (zone, since);
CREATE INDEX dns_published_until ON dns_published (zone, until) WHERE until IS NOT NULL;

-- Name servers that get copies of all zones; each proves who it is with a key of its name (TSIG).
CREATE TABLE secondary (
    name       TEXT PRIMARY KEY CONSTRAINT secondary_name_format CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    address    INET NOT NULL,
    port       INTEGER NOT NULL DEFAULT 53 CONSTRAINT secondary_port_range CHECK (port BETWEEN 1 AND 65535),
    -- XChaCha20-Poly1305 under the master key
    secret     BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

ALTER TABLE region
    -- where it answers names, and why it does not
    ADD COLUMN dns_addresses INET[] NOT NULL DEFAULT '{}',
    ADD COLUMN dns_error TEXT;

CREATE TRIGGER domain_world AFTER INSERT OR DELETE OR UPDATE ON domain FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER dns_record_world AFTER INSERT OR DELETE OR UPDATE ON dns_record FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER dns_zone_world AFTER INSERT OR DELETE OR UPDATE ON dns_zone FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER secondary_world AFTER INSERT OR DELETE OR UPDATE ON secondary FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER machine_domain_world AFTER UPDATE OF domain_id ON machine FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER interface_name_world AFTER UPDATE OF name ON interface FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER rack_addresses_world AFTER INSERT OR DELETE OR UPDATE OF addresses ON rack
    FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
CREATE TRIGGER region_addresses_world AFTER INSERT OR DELETE OR UPDATE OF dns_addresses ON region
    FOR EACH STATEMENT EXECUTE FUNCTION notify_world();
