-- Machines, what is in them, and what happened to them.

CREATE TABLE pool (
    name        TEXT PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    description TEXT NOT NULL DEFAULT ''
);
INSERT INTO pool (name) VALUES ('default');

CREATE TABLE zone (
    name        TEXT PRIMARY KEY CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    description TEXT NOT NULL DEFAULT ''
);
INSERT INTO zone (name) VALUES ('default');

CREATE TABLE image (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         TEXT NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    -- counts up with each build or import under one name; the highest is the current one
    version      INTEGER NOT NULL,
    -- os: deployable; ephemeral, toolbox, bootloaders: what Rackwright itself boots
    kind         TEXT NOT NULL CONSTRAINT image_kind_known CHECK (kind IN ('os', 'ephemeral', 'toolbox', 'bootloaders')),
    title        TEXT NOT NULL DEFAULT '',
    architecture TEXT NOT NULL DEFAULT 'x86_64',
    manifest     JSONB NOT NULL DEFAULT '{}',
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT image_version_unique UNIQUE (name, version)
);

CREATE TABLE image_file (
    image_id          BIGINT NOT NULL REFERENCES image (id) ON DELETE CASCADE,
    -- disk, rootfs, vmlinuz, initrd, or a boot loader's file name
    name              TEXT NOT NULL,
    sha256            TEXT NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    size              BIGINT NOT NULL CHECK (size >= 0),
    uncompressed_size BIGINT NOT NULL CHECK (uncompressed_size >= 0),
    PRIMARY KEY (image_id, name)
);
CREATE INDEX image_file_sha256 ON image_file (sha256);

CREATE TABLE machine (
    id             TEXT PRIMARY KEY CHECK (id ~ '^[a-z0-9]{6}$'),
    hostname       TEXT NOT NULL CONSTRAINT machine_hostname_unique UNIQUE
                   CONSTRAINT machine_hostname_format CHECK (hostname ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    description    TEXT NOT NULL DEFAULT '',
    status         TEXT NOT NULL DEFAULT 'new',
    -- one sentence: why it is where it is, what to do
    status_message TEXT NOT NULL DEFAULT '',
    status_since   TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- the last resting status, to go back to after a test, an abort or a rescue
    resting_status TEXT NOT NULL DEFAULT 'new',
    locked         BOOLEAN NOT NULL DEFAULT FALSE,
    owner_id       BIGINT CONSTRAINT machine_owner_exists REFERENCES "user" (id) ON DELETE SET NULL,
    pool           TEXT NOT NULL DEFAULT 'default' CONSTRAINT machine_pool_exists REFERENCES pool (name),
    zone           TEXT NOT NULL DEFAULT 'default' CONSTRAINT machine_zone_exists REFERENCES zone (name),
    tags           TEXT[] NOT NULL DEFAULT '{}',
    architecture   TEXT NOT NULL DEFAULT 'x86_64',
    -- what lists show of the inventory
    system_uuid    UUID,
    system_serial  TEXT,
    vendor         TEXT,
    product        TEXT,
    cpu_cores      INTEGER NOT NULL DEFAULT 0,
    memory_mib     BIGINT NOT NULL DEFAULT 0,
    storage_bytes  BIGINT NOT NULL DEFAULT 0,
    efi            BOOLEAN NOT NULL DEFAULT FALSE,
    secure_boot    BOOLEAN NOT NULL DEFAULT FALSE,
    inventory      JSONB,
    commissioned_at TIMESTAMPTZ,
    power_state    TEXT NOT NULL DEFAULT 'unknown' CHECK (power_state IN ('on', 'off', 'unknown')),
    power_seen_at  TIMESTAMPTZ,
    -- last evidence of life: DHCP, agent, cloud-init
    last_seen_at   TIMESTAMPTZ,
    -- what it boots: local, ephemeral, hold, off; ephemeral boots on behalf of an operation
    boot           TEXT NOT NULL DEFAULT 'local' CHECK (boot IN ('local', 'ephemeral', 'hold', 'off')),
    boot_operation_id BIGINT,
    boot_epoch     BIGINT,
    -- the installed system
    image_id       BIGINT REFERENCES image (id) ON DELETE SET NULL,
    deployed_at    TIMESTAMPTZ,
    user_data      TEXT,
    ssh_keys       TEXT[] NOT NULL DEFAULT '{}',
    storage_layout JSONB NOT NULL DEFAULT '{}',
    -- the deployment whose metadata credentials are valid
    metadata_operation_id BIGINT,
    -- raised by each change; ETag
    version        BIGINT NOT NULL DEFAULT 1,
    created_at     TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at     TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX machine_status ON machine (status);
CREATE INDEX machine_uuid ON machine (system_uuid);
CREATE INDEX machine_tags ON machine USING gin (tags);

CREATE TABLE interface (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id TEXT NOT NULL REFERENCES machine (id) ON DELETE CASCADE,
    mac        TEXT NOT NULL CONSTRAINT interface_mac_unique UNIQUE
               CONSTRAINT interface_mac_format CHECK (mac ~ '^([0-9a-f]{2}:){5}[0-9a-f]{2}$'),
    name       TEXT NOT NULL DEFAULT '',
    boot       BOOLEAN NOT NULL DEFAULT FALSE,
    link       BOOLEAN NOT NULL DEFAULT FALSE,
    subnet_id  BIGINT REFERENCES subnet (id),
    -- the address it always gets
    address    INET CONSTRAINT interface_address_unique UNIQUE,
    -- auto: the fixed address, configured statically in the installed system; dhcp; link-up
    mode       TEXT NOT NULL DEFAULT 'auto' CHECK (mode IN ('auto', 'dhcp', 'link-up')),
    details    JSONB NOT NULL DEFAULT '{}'
);
CREATE INDEX interface_machine ON interface (machine_id);

CREATE TABLE bmc (
    machine_id TEXT PRIMARY KEY REFERENCES machine (id) ON DELETE CASCADE,
    driver     TEXT NOT NULL CONSTRAINT bmc_driver_known CHECK (driver IN ('ipmi', 'amt', 'manual')),
    address    TEXT NOT NULL DEFAULT '',
    port       INTEGER CHECK (port BETWEEN 1 AND 65535),
    username   TEXT NOT NULL DEFAULT '',
    -- XChaCha20-Poly1305 under the master key, nonce first; password and K_g as JSON
    secret     BYTEA,
    settings   JSONB NOT NULL DEFAULT '{}',
    -- typed in by a person, or found from inside
    source     TEXT NOT NULL DEFAULT 'person' CHECK (source IN ('person', 'in-band')),
    error      TEXT,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE event (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- stable name, such as machine.status
    kind         TEXT NOT NULL,
    level        TEXT NOT NULL DEFAULT 'info' CHECK (level IN ('debug', 'info', 'warning', 'error')),
    -- no foreign keys: events outlive what they tell of
    machine_id   TEXT,
    operation_id BIGINT,
    -- user name, or rackwright, or rack:NAME
    actor        TEXT NOT NULL,
    message      TEXT NOT NULL,
    data         JSONB NOT NULL DEFAULT '{}'
);
CREATE INDEX event_machine ON event (machine_id, id);
CREATE INDEX event_operation ON event (operation_id, id);

CREATE TABLE script (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       TEXT NOT NULL CHECK (name ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    version    INTEGER NOT NULL,
    body       TEXT NOT NULL CHECK (length(body) <= 1048576),
    -- rackwright_common::script::ScriptMetadata
    metadata   JSONB NOT NULL,
    builtin    BOOLEAN NOT NULL DEFAULT FALSE,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT script_version_unique UNIQUE (name, version)
);
