-- The network model completed: spaces, relays, static routes, devices, DHCP options; interfaces of machines that are made of
-- others; who was seen on the wire.

CREATE TABLE space (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        TEXT NOT NULL CONSTRAINT space_name_unique UNIQUE CONSTRAINT space_name_check CHECK (length(name) BETWEEN 1 AND 100),
    description TEXT NOT NULL DEFAULT ''
);

ALTER TABLE vlan
    ADD COLUMN space_id      BIGINT CONSTRAINT vlan_space_exists REFERENCES space (id),
    -- a relay passes this VLAN's requests to the racks of that one
    ADD COLUMN relay_vlan_id BIGINT CONSTRAINT vlan_relay_exists REFERENCES vlan (id),
    -- serve; shadow: listen and report, answer nothing; proxy: boot information only
    ADD COLUMN dhcp_mode     TEXT NOT NULL DEFAULT 'serve'
        CONSTRAINT vlan_dhcp_mode_known CHECK (dhcp_mode IN ('serve', 'shadow', 'proxy')),
    -- rackwright_common::dhcp_option
    ADD COLUMN dhcp_options  JSONB NOT NULL DEFAULT '[]';
-- A relay to a relay, or to itself, is an error: what is relayed to must not be relayed itself.
ALTER TABLE vlan ADD COLUMN relays BOOLEAN GENERATED ALWAYS AS (num_nonnulls(relay_vlan_id) = 1) STORED;
ALTER TABLE vlan ADD COLUMN relay_relays BOOLEAN
    GENERATED ALWAYS AS (CASE WHEN num_nonnulls(relay_vlan_id) = 1 THEN FALSE END) STORED;
CREATE UNIQUE INDEX vlan_relays ON vlan (id, relays);
ALTER TABLE vlan ADD CONSTRAINT vlan_relay_chain FOREIGN KEY (relay_vlan_id, relay_relays) REFERENCES vlan (id, relays);

ALTER TABLE subnet
    -- false: addresses are given only from ranges that are reserved for it
    ADD COLUMN managed            BOOLEAN NOT NULL DEFAULT TRUE,
    ADD COLUMN reverse_dns        TEXT NOT NULL DEFAULT 'rfc2317'
        CONSTRAINT subnet_reverse_dns_known CHECK (reverse_dns IN ('off', 'on', 'rfc2317')),
    -- which firmware may boot here; all when absent
    ADD COLUMN boot_architectures TEXT[] CONSTRAINT subnet_boot_architectures_known
        CHECK (boot_architectures <@ ARRAY ['bios', 'uefi-x64', 'uefi-arm64', 'http-x64', 'http-arm64', 'u-boot']),
    ADD COLUMN dhcp_options       JSONB NOT NULL DEFAULT '[]',
    -- since when its addresses run low; the warning was given then
    ADD COLUMN low_since          TIMESTAMPTZ;

CREATE TABLE static_route (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- machines with an address in this subnet have the route
    subnet_id   BIGINT NOT NULL CONSTRAINT static_route_subnet_exists REFERENCES subnet (id) ON DELETE CASCADE,
    destination CIDR NOT NULL,
    gateway     INET NOT NULL,
    metric      INTEGER NOT NULL DEFAULT 0 CONSTRAINT static_route_metric_range CHECK (metric >= 0),
    CONSTRAINT static_route_unique UNIQUE (subnet_id, destination, gateway),
    CONSTRAINT static_route_family CHECK (family(destination) = family(gateway))
);

-- A thing that is not a machine and has a name: a printer, a switch, a BMC. Its addresses are reservations.
CREATE TABLE device (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hostname    TEXT NOT NULL CONSTRAINT device_hostname_unique UNIQUE
                CONSTRAINT device_hostname_format CHECK (hostname ~ '^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$'),
    description TEXT NOT NULL DEFAULT '',
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now()
);

ALTER TABLE reservation
    ADD COLUMN device_id    BIGINT CONSTRAINT reservation_device_exists REFERENCES device (id) ON DELETE CASCADE,
    ADD COLUMN comment      TEXT NOT NULL DEFAULT '',
    ADD COLUMN dhcp_options JSONB NOT NULL DEFAULT '[]';

ALTER TABLE machine
    -- the subnets whose gateways are the installed system's default routes; the boot interface's when absent
    ADD COLUMN gateway4_subnet_id BIGINT REFERENCES subnet (id) ON DELETE SET NULL,
    ADD COLUMN gateway6_subnet_id BIGINT REFERENCES subnet (id) ON DELETE SET NULL;

ALTER TABLE interface
    ADD COLUMN mtu            INTEGER CONSTRAINT interface_mtu_range CHECK (mtu BETWEEN 552 AND 65535),
    -- kept: given when the machine was first seen, and stays; person: chosen by one; deployment: goes with the release
    ADD COLUMN address_source TEXT NOT NULL DEFAULT 'kept'
        CONSTRAINT interface_address_source_known CHECK (address_source IN ('kept', 'person', 'deployment'));

-- Interfaces that an installed system makes of others. Numbers are not those of other interfaces.
CREATE TABLE virtual_interface (
    id         BIGINT NOT NULL PRIMARY KEY DEFAULT nextval('interface_id_seq'),
    machine_id TEXT NOT NULL REFERENCES machine (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL CONSTRAINT virtual_interface_kind_known CHECK (kind IN ('vlan', 'bond', 'bridge')),
    -- of interface or virtual_interface
    parents    BIGINT[] NOT NULL,
    vlan_id    BIGINT CONSTRAINT virtual_interface_vlan_exists REFERENCES vlan (id),
    mac        TEXT CONSTRAINT virtual_interface_mac_format CHECK (mac ~ '^([0-9a-f]{2}:){5}[0-9a-f]{2}$'),
    mtu        INTEGER CONSTRAINT virtual_interface_mtu_range CHECK (mtu BETWEEN 552 AND 65535),
    -- rackwright_common::network::{BondSettings, BridgeSettings}
    settings   JSONB NOT NULL DEFAULT '{}',
    CONSTRAINT virtual_interface_name_unique UNIQUE (machine_id, name),
    CONSTRAINT virtual_interface_vlan_needed CHECK ((kind = 'vlan') = (vlan_id IS NOT NULL))
);

-- Addresses of virtual interfaces, and those of others besides the one in `interface`.
CREATE TABLE interface_address (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    interface_id BIGINT REFERENCES interface (id) ON DELETE CASCADE,
    virtual_id   BIGINT REFERENCES virtual_interface (id) ON DELETE CASCADE,
    mode         TEXT NOT NULL CONSTRAINT interface_address_mode_known CHECK (mode IN ('auto', 'static', 'dhcp')),
    subnet_id    BIGINT CONSTRAINT interface_address_subnet_exists REFERENCES subnet (id),
    address      INET CONSTRAINT interface_address_address_unique UNIQUE,
    CONSTRAINT interface_address_of_one CHECK (num_nonnulls(interface_id, virtual_id) = 1),
    CONSTRAINT interface_address_subnet_needed CHECK (mode = 'dhcp' OR subnet_id IS NOT NULL),
    CONSTRAINT interface_address_needed CHECK (mode <> 'static' OR address IS NOT NULL)
);
CREATE INDEX interface_address_interface ON interface_address (interface_id);
CREATE INDEX interface_address_virtual ON interface_address (virtual_id);

-- Addresses that a deployment wants to use, asked about on the wire by a rack of their network.
CREATE TABLE address_probe (
    operation_id  BIGINT NOT NULL REFERENCES operation (id) ON DELETE CASCADE,
    address       INET NOT NULL,
    subnet_id     BIGINT NOT NULL REFERENCES subnet (id) ON DELETE CASCADE,
    asked_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    rack_id       BIGINT,
    claimed_until TIMESTAMPTZ,
    done_at       TIMESTAMPTZ,
    -- who answered for it; nobody when absent
    answered_by   TEXT,
    PRIMARY KEY (operation_id, address)
);
CREATE INDEX address_probe_open ON address_probe (subnet_id) WHERE done_at IS NULL;

-- Addresses that somebody answers for although nobody was given them.
CREATE TABLE address_seen (
    address INET PRIMARY KEY,
    mac     TEXT NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

-- What racks would have answered in shadow mode, and what the present server did; the newest of each client.
CREATE TABLE dhcp_shadow (
    subnet_id BIGINT NOT NULL REFERENCES subnet (id) ON DELETE CASCADE,
    mac       TEXT NOT NULL,
    rack      TEXT NOT NULL,
    ours      INET,
    boot_file TEXT,
    theirs    INET,
    server    INET,
    differs   BOOLEAN NOT NULL,
    message   TEXT NOT NULL,
    at        TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (subnet_id, mac)
);

-- DHCP servers that are not ours.
CREATE TABLE dhcp_server (
    subnet_id     BIGINT NOT NULL REFERENCES subnet (id) ON DELETE CASCADE,
    server        INET NOT NULL,
    rack          TEXT NOT NULL,
    first_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_seen_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (subnet_id, server)
);

-- Who enters an address locks its subnet: so they are entered one after the other, and none slips past a change of it.
CREATE FUNCTION locked_network(wanted BIGINT) RETURNS INET LANGUAGE plpgsql AS $$
DECLARE network INET;
BEGIN
    SELECT cidr INTO network FROM subnet WHERE id = wanted FOR NO KEY UPDATE;
    RETURN network;
END $$;

CREATE FUNCTION refuse(rule TEXT, what TEXT) RETURNS VOID LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', what USING ERRCODE = 'check_violation', CONSTRAINT = rule;
END $$;

-- A fixed address lies in its subnet, in none of its dynamic ranges, and is in one place only.
CREATE FUNCTION fixed_address_check() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE network INET := locked_network(NEW.subnet_id);
BEGIN
    IF NEW.address IS NULL THEN RETURN NEW; END IF;
    IF network IS NULL OR NOT NEW.address <<= network THEN
        PERFORM refuse('fixed_address_inside', 'address outside its subnet');
    END IF;
    IF family(network) = 4 AND masklen(network) < 31
       AND (host(NEW.address) = host(network) OR host(NEW.address) = host(broadcast(network))) THEN
        PERFORM refuse('fixed_address_host', 'not an address of a host');
    END IF;
    IF EXISTS (SELECT 1 FROM ip_range WHERE subnet_id = NEW.subnet_id AND kind = 'dynamic' AND NEW.address BETWEEN first AND last) THEN
        PERFORM refuse('fixed_address_dynamic', 'address in a dynamic range');
    END IF;
    IF (TG_TABLE_NAME <> 'interface' AND EXISTS (SELECT 1 FROM interface i WHERE i.address = NEW.address))
       OR (TG_TABLE_NAME <> 'interface_address' AND EXISTS (SELECT 1 FROM interface_address i WHERE i.address = NEW.address)) THEN
        PERFORM refuse('fixed_address_taken', 'a machine has the address');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER interface_fixed_address BEFORE INSERT OR UPDATE OF address, subnet_id ON interface
    FOR EACH ROW WHEN (NEW.address IS NOT NULL) EXECUTE FUNCTION fixed_address_check();
CREATE TRIGGER interface_address_fixed_address BEFORE INSERT OR UPDATE OF address, subnet_id ON interface_address
    FOR EACH ROW WHEN (NEW.address IS NOT NULL) EXECUTE FUNCTION fixed_address_check();
CREATE TRIGGER reservation_fixed_address BEFORE INSERT OR UPDATE OF address, subnet_id ON reservation
    FOR EACH ROW EXECUTE FUNCTION fixed_address_check();

CREATE FUNCTION ip_range_check() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE network INET := locked_network(NEW.subnet_id);
BEGIN
    IF network IS NULL OR NOT NEW.first <<= network OR NOT NEW.last <<= network THEN
        PERFORM refuse('ip_range_inside', 'range outside its subnet');
    END IF;
    IF NEW.kind = 'dynamic' AND EXISTS (
        SELECT 1 FROM interface WHERE subnet_id = NEW.subnet_id AND address BETWEEN NEW.first AND NEW.last
        UNION ALL SELECT 1 FROM interface_address WHERE subnet_id = NEW.subnet_id AND address BETWEEN NEW.first AND NEW.last
        UNION ALL SELECT 1 FROM reservation WHERE subnet_id = NEW.subnet_id AND address BETWEEN NEW.first AND NEW.last) THEN
        PERFORM refuse('ip_range_fixed', 'the range holds a fixed address');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER ip_range_inside BEFORE INSERT OR UPDATE ON ip_range
    FOR EACH ROW EXECUTE FUNCTION ip_range_check();

CREATE FUNCTION static_route_check() RETURNS TRIGGER LANGUAGE plpgsql AS $$
DECLARE network INET := locked_network(NEW.subnet_id);
BEGIN
    IF network IS NULL OR NOT NEW.gateway <<= network THEN
        PERFORM refuse('static_route_gateway_inside', 'gateway outside the subnet');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER static_route_inside BEFORE INSERT OR UPDATE ON static_route
    FOR EACH ROW EXECUTE FUNCTION static_route_check();

-- A network that changes still holds what is in it.
CREATE FUNCTION subnet_holds_check() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM ip_range WHERE subnet_id = NEW.id AND NOT (first <<= NEW.cidr AND last <<= NEW.cidr)
        UNION ALL SELECT 1 FROM reservation WHERE subnet_id = NEW.id AND NOT address <<= NEW.cidr
        UNION ALL SELECT 1 FROM interface WHERE subnet_id = NEW.id AND NOT address <<= NEW.cidr
        UNION ALL SELECT 1 FROM interface_address WHERE subnet_id = NEW.id AND NOT address <<= NEW.cidr
        UNION ALL SELECT 1 FROM static_route WHERE subnet_id = NEW.id AND NOT gateway <<= NEW.cidr) THEN
        PERFORM refuse('subnet_holds', 'something in the subnet lies outside its new network');
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER subnet_holds BEFORE UPDATE OF cidr ON subnet
    FOR EACH ROW WHEN (NEW.cidr IS DISTINCT FROM OLD.cidr) EXECUTE FUNCTION subnet_holds_check();
