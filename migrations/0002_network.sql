-- The network: fabric > VLAN > subnet > ranges, reservations, leases; and the controllers.

CREATE EXTENSION IF NOT EXISTS btree_gist;
CREATE TYPE inetrange AS RANGE (subtype = inet);

CREATE TABLE fabric (
    id   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL CONSTRAINT fabric_name_unique UNIQUE CHECK (length(name) BETWEEN 1 AND 100)
);

CREATE TABLE vlan (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    fabric_id BIGINT NOT NULL CONSTRAINT vlan_fabric_exists REFERENCES fabric (id),
    -- 0: untagged
    vid       INTEGER NOT NULL CONSTRAINT vlan_vid_range CHECK (vid BETWEEN 0 AND 4094),
    name      TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    mtu       INTEGER NOT NULL DEFAULT 1500 CONSTRAINT vlan_mtu_range CHECK (mtu BETWEEN 552 AND 65535),
    dhcp      BOOLEAN NOT NULL DEFAULT FALSE,
    CONSTRAINT vlan_vid_unique UNIQUE (fabric_id, vid)
);

CREATE TABLE subnet (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vlan_id     BIGINT NOT NULL CONSTRAINT subnet_vlan_exists REFERENCES vlan (id),
    name        TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    cidr        CIDR NOT NULL,
    gateway     INET CONSTRAINT subnet_gateway_inside CHECK (gateway IS NULL OR gateway << cidr),
    dns_servers INET[] NOT NULL DEFAULT '{}',
    domain      TEXT,
    lease_seconds INTEGER NOT NULL DEFAULT 600 CONSTRAINT subnet_lease_range CHECK (lease_seconds BETWEEN 60 AND 604800),
    CONSTRAINT subnet_overlap EXCLUDE USING gist (cidr inet_ops WITH &&)
);

CREATE TABLE ip_range (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subnet_id BIGINT NOT NULL CONSTRAINT ip_range_subnet_exists REFERENCES subnet (id) ON DELETE CASCADE,
    kind      TEXT NOT NULL CONSTRAINT ip_range_kind_known CHECK (kind IN ('dynamic', 'reserved')),
    first     INET NOT NULL,
    last      INET NOT NULL,
    comment   TEXT NOT NULL DEFAULT '',
    CONSTRAINT ip_range_order CHECK (first <= last),
    CONSTRAINT ip_range_overlap EXCLUDE USING gist (subnet_id WITH =, inetrange(first, last, '[]') WITH &&)
);

CREATE TABLE reservation (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subnet_id  BIGINT NOT NULL CONSTRAINT reservation_subnet_exists REFERENCES subnet (id) ON DELETE CASCADE,
    mac        TEXT NOT NULL CONSTRAINT reservation_mac_unique UNIQUE
               CONSTRAINT reservation_mac_format CHECK (mac ~ '^([0-9a-f]{2}:){5}[0-9a-f]{2}$'),
    address    INET NOT NULL CONSTRAINT reservation_address_unique UNIQUE,
    hostname   TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE region (
    name         TEXT PRIMARY KEY,
    version      TEXT NOT NULL,
    -- random per process start
    instance     UUID NOT NULL,
    -- host:port of the stream service, as racks dial it
    stream       TEXT NOT NULL,
    started_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_seen_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE rack (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         TEXT NOT NULL CONSTRAINT rack_name_unique UNIQUE CHECK (length(name) BETWEEN 1 AND 63),
    version      TEXT NOT NULL DEFAULT '',
    -- [{interface, network, http_port}], as the rack says
    addresses    JSONB NOT NULL DEFAULT '[]',
    -- the generation the rack says it runs
    running      BIGINT NOT NULL DEFAULT 0,
    -- the newest generation made for it, and the hash of its content
    generation   BIGINT NOT NULL DEFAULT 0,
    content_hash TEXT NOT NULL DEFAULT '',
    -- up to which journal entry everything is stored
    journal_seq  BIGINT NOT NULL DEFAULT 0,
    error        TEXT,
    last_seen_at TIMESTAMPTZ,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- One-time secrets with which a new rack gets its certificate.
CREATE TABLE rack_token (
    secret_hash BYTEA PRIMARY KEY,
    rack_name   TEXT NOT NULL,
    expires_at  TIMESTAMPTZ NOT NULL
);

CREATE TABLE lease_block (
    id        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subnet_id BIGINT NOT NULL REFERENCES subnet (id) ON DELETE CASCADE,
    rack_id   BIGINT NOT NULL REFERENCES rack (id),
    first     INET NOT NULL,
    last      INET NOT NULL,
    epoch     BIGINT NOT NULL DEFAULT 1,
    CONSTRAINT lease_block_overlap EXCLUDE USING gist (subnet_id WITH =, inetrange(first, last, '[]') WITH &&)
);

CREATE TABLE lease (
    address    INET PRIMARY KEY,
    mac        TEXT NOT NULL,
    hostname   TEXT,
    rack_id    BIGINT NOT NULL REFERENCES rack (id),
    -- the rack's journal entry that said so; an older one does not overwrite
    seq        BIGINT NOT NULL,
    expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX lease_mac ON lease (mac);
