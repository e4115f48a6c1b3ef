-- Signed zones (DNSSEC), and what secondaries have copied.

-- A zone with a key is signed, by all of its keys: by two while keys change.
CREATE TABLE dns_key (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- name of the zone, a domain or one of reverse names; the key stays while the zone comes and goes
    zone       TEXT NOT NULL CHECK (length(zone) BETWEEN 1 AND 253),
    -- Ed25519, 32 bytes
    public     BYTEA NOT NULL CHECK (length(public) = 32),
    -- XChaCha20-Poly1305 under the master key
    secret     BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX dns_key_zone ON dns_key (zone);
CREATE TRIGGER dns_key_world AFTER INSERT OR DELETE OR UPDATE ON dns_key FOR EACH STATEMENT EXECUTE FUNCTION notify_world();

-- A region of an older version knows nothing of keys. It is kept from publishing a signed zone without signatures.
CREATE FUNCTION keep_signed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT NEW.gone AND NEW.content_hash NOT LIKE 'signed:%' AND EXISTS (SELECT 1 FROM dns_key WHERE zone = NEW.origin) THEN
        RAISE EXCEPTION 'the zone % is signed: a region of a newer version publishes it', NEW.origin;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER dns_zone_stays_signed BEFORE INSERT OR UPDATE OF content_hash, gone ON dns_zone
    FOR EACH ROW EXECUTE FUNCTION keep_signed();

-- The last copy of each zone that each secondary has got.
CREATE TABLE secondary_copy (
    secondary TEXT NOT NULL REFERENCES secondary (name) ON DELETE CASCADE,
    zone      TEXT NOT NULL REFERENCES dns_zone (origin) ON DELETE CASCADE,
    -- as secondaries see it, below 2^32
    serial    BIGINT NOT NULL,
    copied_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- it has been said that it lags behind
    told      BOOLEAN NOT NULL DEFAULT FALSE,
    PRIMARY KEY (secondary, zone)
);
