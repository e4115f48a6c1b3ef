-- A small site in the middle of its work, for the browser tests and the preview. Times are relative to now.

INSERT INTO zone (name, description) VALUES ('row-a', 'cold aisle A'), ('row-b', 'cold aisle B');
INSERT INTO pool (name, description) VALUES ('research', ''), ('build-farm', '');

INSERT INTO region (name, version, instance, stream, started_at, last_seen_at) VALUES
    ('region-1', '0.1.0', gen_random_uuid(), '10.20.0.11:5241', now() - interval '9 days', now()),
    ('region-2', '0.1.0', gen_random_uuid(), '10.20.0.12:5241', now() - interval '2 days', now());
INSERT INTO rack (name, version, addresses, running, generation, last_seen_at, created_at, error) VALUES
    ('rack-a1', '0.1.0', '[{"interface":"eth1","network":"10.77.0.1/24","http_port":5248}]', 412, 412, now(), now() - interval '9 days', NULL),
    ('rack-a2', '0.1.0', '[{"interface":"eth1","network":"10.77.0.2/24","http_port":5248}]', 411, 412, now(), now() - interval '9 days', NULL),
    ('rack-b1', '0.1.0', '[{"interface":"eth1","network":"10.78.0.1/24","http_port":5248}]', 380, 412, now() - interval '3 hours', now() - interval '5 days', NULL);

INSERT INTO fabric (name) VALUES ('lab');
INSERT INTO vlan (fabric_id, vid, name, dhcp) VALUES
    ((SELECT id FROM fabric WHERE name = 'lab'), 0, 'machines', TRUE),
    ((SELECT id FROM fabric WHERE name = 'lab'), 78, 'management', FALSE);
INSERT INTO subnet (vlan_id, name, cidr, gateway, dns_servers, domain) VALUES
    ((SELECT id FROM vlan WHERE name = 'machines'), 'machines', '10.77.0.0/24', '10.77.0.254', '{}', 'lab.example'),
    ((SELECT id FROM vlan WHERE name = 'management'), '10.78.0.0/24', '10.78.0.0/24', NULL, '{10.20.0.53}', NULL);
INSERT INTO ip_range (subnet_id, kind, first, last, comment) VALUES
    ((SELECT id FROM subnet WHERE name = 'machines'), 'dynamic', '10.77.0.100', '10.77.0.199', ''),
    ((SELECT id FROM subnet WHERE name = 'machines'), 'reserved', '10.77.0.240', '10.77.0.254', 'switches and router');
INSERT INTO reservation (subnet_id, mac, address, hostname) VALUES
    ((SELECT id FROM subnet WHERE name = 'machines'), '00:1b:21:aa:00:05', '10.77.0.5', 'console-server');
INSERT INTO lease (address, mac, hostname, rack_id, seq, expires_at) VALUES
    ('10.77.0.101', '52:54:00:07:00:01', NULL, (SELECT id FROM rack WHERE name = 'rack-a1'), 1, now() + interval '8 minutes'),
    ('10.77.0.102', '52:54:00:99:00:01', 'printer', (SELECT id FROM rack WHERE name = 'rack-a1'), 2, now() + interval '4 minutes');

-- Whom the racks have heard: a printer that nobody knows, a camera, a rack, and the switch that a rack's cable is in.
INSERT INTO discovery (rack_id, interface, mac, address, hostname, lldp, first_seen_at, last_seen_at)
    SELECT r.id, 'eth1', d.mac, d.address::inet, d.hostname, d.lldp::jsonb, now() - interval '2 days', now() - interval '3 minutes'
    FROM rack r, (VALUES
        ('00:11:32:40:00:17', '10.77.0.84', 'backup', NULL), ('b8:27:eb:40:00:31', '10.77.0.61', NULL, NULL),
        ('00:25:90:40:00:01', '10.77.0.2', NULL, NULL),
        ('44:4c:a8:02:11:c0', NULL, NULL, '{"chassis": "44:4c:a8:02:11:c0", "port": "Ethernet14", "system": "sw-a1", "vlan": 77}'))
        AS d (mac, address, hostname, lldp)
    WHERE r.name = 'rack-a1';

INSERT INTO image (name, version, kind, title, created_at) VALUES
    ('debian-12', 2, 'os', 'Debian 12 (bookworm)', now() - interval '20 days'),
    ('debian-12', 3, 'os', 'Debian 12 (bookworm)', now() - interval '2 days'),
    ('ubuntu-24.04', 1, 'os', 'Ubuntu 24.04 LTS (noble)', now() - interval '6 days'),
    ('ephemeral', 4, 'ephemeral', 'Kernel 6.1, agent 0.1.0', now() - interval '2 days'),
    ('toolbox', 4, 'toolbox', 'stress-ng, fio, smartmontools, memtester', now() - interval '2 days'),
    ('bootloaders', 1, 'bootloaders', 'iPXE, shim, GRUB', now() - interval '9 days');
INSERT INTO image_file (image_id, name, sha256, size, uncompressed_size)
    SELECT i.id, f.name, encode(sha256((i.name || i.version || f.name)::bytea), 'hex'), f.size, f.whole
    FROM image i JOIN (VALUES
        ('os', 'disk', 412334080, 2147483648), ('os', 'rootfs', 298844160, 1073741824),
        ('ephemeral', 'vmlinuz', 8192000, 8192000), ('ephemeral', 'initrd', 21500000, 64000000),
        ('toolbox', 'toolbox.squashfs', 184000000, 512000000),
        ('bootloaders', 'ipxe.efi', 1040000, 1040000), ('bootloaders', 'undionly.kpxe', 71000, 71000),
        ('bootloaders', 'shimx64.efi', 934000, 934000)) AS f (kind, name, size, whole) ON f.kind = i.kind;

-- Hardware of the servers; the boot MAC differs.
CREATE FUNCTION pg_temp.hardware(mac text, serial text, port text) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'system', '{"vendor": "Supermicro", "product": "SYS-111C-NR", "version": "0123456789", "board": "Supermicro X13SEW-F"}'::jsonb
                  || jsonb_build_object('serial', serial),
        'firmware', '{"vendor": "American Megatrends International", "version": "2.1", "date": "02/14/2026", "efi": true, "secure_boot": false}'::jsonb,
        'cpu', '{"architecture": "x86_64", "model": "Intel(R) Xeon(R) Silver 4514Y", "sockets": 1, "cores": 16, "threads": 32, "max_mhz": 3400, "virtualization": true}'::jsonb,
        'numa_nodes', '[{"node": 0, "cpus": "0-31", "memory_mib": 131072}]'::jsonb,
        'memory_mib', 131072,
        'dimms', '[{"slot": "P1-DIMMA1", "size_mib": 32768, "kind": "DDR5", "speed_mts": 4800, "vendor": "Samsung", "part": "M321R4GA3BB6-CQKET", "serial": "H0KE00023A11"},
                   {"slot": "P1-DIMMB1", "size_mib": 32768, "kind": "DDR5", "speed_mts": 4800, "vendor": "Samsung", "part": "M321R4GA3BB6-CQKET", "serial": "H0KE00023A14"},
                   {"slot": "P1-DIMMC1", "size_mib": 32768, "kind": "DDR5", "speed_mts": 4800, "vendor": "Samsung", "part": "M321R4GA3BB6-CQKET", "serial": "H0KE00023A2B"},
                   {"slot": "P1-DIMMD1", "size_mib": 32768, "kind": "DDR5", "speed_mts": 4800, "vendor": "Samsung", "part": "M321R4GA3BB6-CQKET", "serial": "H0KE00023A30"},
                   {"slot": "P1-DIMME1", "size_mib": 0}, {"slot": "P1-DIMMF1", "size_mib": 0}]'::jsonb,
        'disks', jsonb_build_array(
            jsonb_build_object('name', 'nvme0n1', 'model', 'SAMSUNG MZQL21T9HCJR-00A07', 'serial', 'S64GNE0R' || serial, 'size_bytes', 1920383410176,
                               'sector_bytes', 512, 'rotational', false, 'transport', 'nvme', 'firmware', 'GDC5602Q'),
            jsonb_build_object('name', 'sda', 'model', 'TOSHIBA MG08ACA16TE', 'serial', 'Z1X0A0' || serial, 'size_bytes', 16000900661248,
                               'sector_bytes', 4096, 'rotational', true, 'transport', 'sata', 'firmware', '0102')),
        'interfaces', jsonb_build_array(
            jsonb_build_object('name', 'eno1', 'mac', mac, 'driver', 'ice', 'product', 'Intel E810-XXV', 'speed_mbps', 25000, 'link', true, 'boot', true,
                               'lldp', jsonb_build_object('chassis', 'b8:59:9f:02:11:c0', 'port', port, 'system', 'sw-a1', 'vlan', 77)),
            jsonb_build_object('name', 'eno2', 'mac', regexp_replace(mac, '..$', 'f2'), 'driver', 'ice', 'product', 'Intel E810-XXV', 'link', false)),
        'pci', '[]'::jsonb, 'gpus', '[]'::jsonb,
        'bmc', '{"address": "10.78.0.21", "firmware": "1.02.15"}'::jsonb)
$$;

INSERT INTO machine (id, hostname, description, status, status_message, status_since, resting_status, locked, owner_id, pool, zone, tags,
                     system_serial, vendor, product, cpu_cores, memory_mib, storage_bytes, efi, commissioned_at, power_state, last_seen_at,
                     boot, image_id, deployed_at) VALUES
    ('k3x9ab', 'ceph-01', '', 'deployed', '', now() - interval '3 days', 'deployed', TRUE, (SELECT id FROM "user" WHERE name = 'ann'), 'research', 'row-a', '{ceph,nvme}',
     'S411795X1', 'Supermicro', 'SYS-111C-NR', 16, 131072, 17921284071424, TRUE, now() - interval '8 days', 'on', now() - interval '20 seconds', 'local',
     (SELECT id FROM image WHERE name = 'debian-12' AND version = 3), now() - interval '3 days'),
    ('m7d2qz', 'ceph-02', '', 'deploying', '', now() - interval '74 seconds', 'ready', FALSE, (SELECT id FROM "user" WHERE name = 'ann'), 'research', 'row-a', '{ceph,nvme}',
     'S411795X2', 'Supermicro', 'SYS-111C-NR', 16, 131072, 17921284071424, TRUE, now() - interval '8 days', 'on', now() - interval '1 second', 'ephemeral',
     (SELECT id FROM image WHERE name = 'debian-12' AND version = 3), NULL),
    ('p5t8rw', 'ceph-03', 'the spare one', 'ready', '', now() - interval '5 days', 'ready', FALSE, NULL, 'research', 'row-a', '{ceph,nvme}',
     'S411795X3', 'Supermicro', 'SYS-111C-NR', 16, 131072, 17921284071424, TRUE, now() - interval '8 days', 'off', now() - interval '5 days', 'local', NULL, NULL),
    ('a2b4c6', 'build-01', '', 'deployed', '', now() - interval '41 days', 'deployed', FALSE, (SELECT id FROM "user" WHERE name = 'ben'), 'build-farm', 'row-b', '{}',
     'CZ12345678', 'HPE', 'ProLiant DL325 Gen11', 32, 262144, 3840766820352, TRUE, now() - interval '42 days', 'on', now() - interval '1 minute', 'local',
     (SELECT id FROM image WHERE name = 'ubuntu-24.04'), now() - interval '41 days'),
    ('d8e2f5', 'build-02', '', 'failed-deployment', 'it fetched its boot loader (ipxe.efi) and asked for nothing more for 300 s: check that the boot loader fits its architecture and its Secure Boot setting', now() - interval '25 minutes', 'ready', FALSE,
     (SELECT id FROM "user" WHERE name = 'ben'), 'build-farm', 'row-b', '{}', 'CZ12345679', 'HPE', 'ProLiant DL325 Gen11', 32, 262144, 3840766820352, TRUE, now() - interval '42 days', 'off', now() - interval '31 minutes', 'hold', NULL, NULL),
    ('g4h6j3', 'build-03', '', 'failed-testing', 'disk-quick failed on Z1X0A0S411795X6: 24 reallocated sectors', now() - interval '2 hours', 'ready', FALSE, NULL, 'build-farm', 'row-b', '{}',
     'CZ12345680', 'HPE', 'ProLiant DL325 Gen11', 32, 262144, 3840766820352, TRUE, now() - interval '2 hours', 'off', now() - interval '2 hours', 'local', NULL, NULL),
    ('n9m3k7', 'machine-n9m3k7', '', 'commissioning', '', now() - interval '22 seconds', 'new', FALSE, NULL, 'default', 'default', '{}',
     NULL, 'Dell Inc.', 'PowerEdge R660', 0, 0, 0, FALSE, NULL, 'on', now(), 'ephemeral', NULL, NULL),
    ('r6s2t9', 'gpu-01', '', 'allocated', '', now() - interval '6 hours', 'allocated', FALSE, (SELECT id FROM "user" WHERE name = 'ann'), 'research', 'row-a', '{gpu,h100}',
     'JX9911', 'Dell Inc.', 'PowerEdge XE9680', 112, 2097152, 30725970923520, TRUE, now() - interval '8 days', 'off', now() - interval '6 hours', 'local', NULL, NULL),
    ('v3w5x8', 'gpu-02', '', 'rescue-mode', '', now() - interval '15 minutes', 'deployed', FALSE, (SELECT id FROM "user" WHERE name = 'ann'), 'research', 'row-a', '{gpu,h100}',
     'JX9912', 'Dell Inc.', 'PowerEdge XE9680', 112, 2097152, 30725970923520, TRUE, now() - interval '8 days', 'on', now() - interval '4 seconds', 'ephemeral',
     (SELECT id FROM image WHERE name = 'ubuntu-24.04'), now() - interval '12 days'),
    ('y7z4a9', 'edge-07', '', 'new', '', now() - interval '4 minutes', 'new', FALSE, NULL, 'default', 'default', '{}', NULL, NULL, NULL, 0, 0, 0,
     FALSE, NULL, 'unknown', now() - interval '4 minutes', 'local', NULL, NULL);

UPDATE machine m SET inventory = pg_temp.hardware('52:54:00:' || h.mac, m.system_serial, h.port), system_uuid = gen_random_uuid(),
                     storage_layout = '{"kind": "flat"}'
    FROM (VALUES ('k3x9ab', '01:00:01', 'Ethernet1'), ('m7d2qz', '02:00:01', 'Ethernet2'), ('p5t8rw', '03:00:01', 'Ethernet3'),
                 ('d8e2f5', '05:00:01', 'Ethernet5'), ('g4h6j3', '06:00:01', 'Ethernet6')) AS h (id, mac, port) WHERE m.id = h.id;
INSERT INTO interface (machine_id, mac, name, boot, link, subnet_id, address)
    SELECT x.id, '52:54:00:' || x.mac, 'eno1', TRUE, TRUE, (SELECT id FROM subnet WHERE name = 'machines'), x.address::inet
    FROM (VALUES ('k3x9ab', '01:00:01', '10.77.0.21'), ('m7d2qz', '02:00:01', '10.77.0.22'), ('p5t8rw', '03:00:01', '10.77.0.23'),
                 ('a2b4c6', '04:00:01', '10.77.0.31'), ('d8e2f5', '05:00:01', '10.77.0.32'), ('g4h6j3', '06:00:01', '10.77.0.33'),
                 ('n9m3k7', '07:00:01', NULL), ('r6s2t9', '08:00:01', '10.77.0.41'), ('v3w5x8', '09:00:01', '10.77.0.42'),
                 ('y7z4a9', '0a:00:01', NULL)) AS x (id, mac, address);
INSERT INTO bmc (machine_id, driver, address, port, username, secret, source, error)
    SELECT x.id, x.driver, x.address, NULL, x.username, '\x00', x.source, x.error
    FROM (VALUES ('k3x9ab', 'ipmi', '10.78.0.21', 'rackwright', 'in-band', NULL), ('m7d2qz', 'ipmi', '10.78.0.22', 'rackwright', 'in-band', NULL),
                 ('p5t8rw', 'ipmi', '10.78.0.23', 'rackwright', 'in-band', NULL), ('a2b4c6', 'ipmi', '10.78.0.31', 'ops', 'person', NULL),
                 ('d8e2f5', 'ipmi', '10.78.0.32', 'ops', 'person', NULL),
                 ('g4h6j3', 'ipmi', '10.78.0.33', 'ops', 'person', 'the BMC does not answer (no reply in 5 s): check its address, cable and network'),
                 ('n9m3k7', 'amt', '10.77.0.107', 'admin', 'person', NULL), ('r6s2t9', 'ipmi', '10.78.0.41', 'rackwright', 'in-band', NULL),
                 ('v3w5x8', 'ipmi', '10.78.0.42', 'rackwright', 'in-band', NULL)) AS x (id, driver, address, username, source, error);

-- Operations: number them by hand, so that events can name them.
INSERT INTO operation (id, kind, machine_id, status, step, params, message, error, requested_by, created_at, step_since, finished_at, deadline, next_attempt_at)
    OVERRIDING SYSTEM VALUE VALUES
    (101, 'commission', 'm7d2qz', 'done', 'finish-off', '{"kind":"commission"}', '', NULL, 'rackwright', now() - interval '8 days', now(), now() - interval '8 days' + interval '81 seconds', now(), now()),
    (107, 'test', 'm7d2qz', 'done', 'finish-off', '{"kind":"test"}', '', NULL, 'ann', now() - interval '5 days', now(), now() - interval '5 days' + interval '200 seconds', now(), now()),
    (112, 'deploy', 'k3x9ab', 'done', 'await-system', '{"kind":"deploy","image":"debian-12"}', '', NULL, 'ann', now() - interval '3 days', now(), now() - interval '3 days' + interval '96.4 seconds', now(), now()),
    (117, 'test', 'g4h6j3', 'failed', 'tests', '{"kind":"test"}', '', 'disk-quick failed on Z1X0A0S411795X6: 24 reallocated sectors', 'ben', now() - interval '2 hours 3 minutes', now(), now() - interval '2 hours', now(), now()),
    (118, 'deploy', 'd8e2f5', 'failed', 'await-agent', '{"kind":"deploy","image":"debian-12"}', '',
     'it fetched its boot loader (ipxe.efi) and asked for nothing more for 300 s: check that the boot loader fits its architecture and its Secure Boot setting', 'ben',
     now() - interval '31 minutes', now(), now() - interval '25 minutes', now(), now()),
    (120, 'deploy', 'm7d2qz', 'running', 'install', '{"kind":"deploy","image":"debian-12"}', 'writing debian-12@3 to nvme0n1', NULL, 'ann', now() - interval '74 seconds', now() - interval '38 seconds', NULL, now() + interval '118 minutes', now() + interval '1 hour'),
    (121, 'commission', 'n9m3k7', 'running', 'await-agent', '{"kind":"commission"}', 'it fetched kernel and initrd', NULL, 'rackwright', now() - interval '22 seconds', now() - interval '19 seconds', NULL, now() + interval '59 minutes', now() + interval '1 hour');
SELECT setval(pg_get_serial_sequence('operation', 'id'), 200);

CREATE FUNCTION pg_temp.say(op bigint, seconds double precision, kind text, message text, data jsonb DEFAULT '{}', level text DEFAULT 'debug') RETURNS void LANGUAGE sql AS $$
    INSERT INTO event (at, kind, level, machine_id, operation_id, actor, message, data)
    SELECT o.created_at + make_interval(secs => $2), $3, $6, o.machine_id, $1,
           CASE $3 WHEN 'machine.boot' THEN 'rack:rack-a1' WHEN 'machine.agent' THEN 'agent' WHEN 'machine.cloud-init' THEN 'cloud-init' ELSE 'rackwright' END, $4, $5
    FROM operation o WHERE o.id = $1
$$;
CREATE FUNCTION pg_temp.boot(op bigint, seconds double precision, stage text, message text) RETURNS void LANGUAGE sql AS $$
    SELECT pg_temp.say(op, seconds, 'machine.boot', message, jsonb_build_object('stage', stage))
$$;
-- From power to the agent, as a server with a slow firmware does it.
CREATE FUNCTION pg_temp.network_boot(op bigint, seconds double precision, firmware double precision) RETURNS void LANGUAGE sql AS $$
    SELECT pg_temp.say(op, seconds + 1.8, 'operation.step', 'switching on, to boot from the network');
    SELECT pg_temp.say(op, seconds + 3.1, 'operation.step', 'waiting for the ephemeral environment');
    SELECT pg_temp.boot(op, seconds + firmware, 'discover', 'DHCPDISCOVER (UEFI x64)');
    SELECT pg_temp.boot(op, seconds + firmware + 1.1, 'ack', '10.77.0.22');
    SELECT pg_temp.boot(op, seconds + firmware + 1.6, 'loader', 'ipxe.efi');
    SELECT pg_temp.boot(op, seconds + firmware + 2.9, 'discover', 'DHCPDISCOVER (iPXE)');
    SELECT pg_temp.boot(op, seconds + firmware + 3.1, 'ack', '10.77.0.22');
    SELECT pg_temp.boot(op, seconds + firmware + 3.2, 'script', 'ephemeral');
    SELECT pg_temp.boot(op, seconds + firmware + 3.5, 'kernel', 'vmlinuz');
    SELECT pg_temp.boot(op, seconds + firmware + 4.4, 'initrd', 'initrd');
$$;

-- ceph-01: deployed, from power to cloud-init.
SELECT pg_temp.say(112, 0, 'machine.status', 'Ready → Deploying', '{}', 'info');
SELECT pg_temp.network_boot(112, 0, 21);
SELECT pg_temp.say(112, 28.2, 'machine.agent', 'the ephemeral environment is up, 2.8 s after its kernel started', '{}', 'info');
SELECT pg_temp.say(112, 28.3, 'operation.step', 'installing');
SELECT pg_temp.say(112, 51.5, 'operation.step', 'waiting for the installed system');
SELECT pg_temp.boot(112, 72.0, 'discover', 'DHCPDISCOVER (UEFI x64)');
SELECT pg_temp.boot(112, 73.0, 'ack', '10.77.0.21');
SELECT pg_temp.boot(112, 74.8, 'script', 'local disk');
SELECT pg_temp.say(112, 85.1, 'machine.cloud-init', 'init-network finish: searching for network datasources (SUCCESS)', '{"name":"init-network","event_type":"finish","result":"SUCCESS"}');
SELECT pg_temp.say(112, 90.7, 'machine.cloud-init', 'modules-config finish: running modules for config (SUCCESS)', '{"name":"modules-config","event_type":"finish","result":"SUCCESS"}');
SELECT pg_temp.say(112, 96.2, 'machine.cloud-init', 'modules-final finish: running modules for final (SUCCESS)', '{"name":"modules-final","event_type":"finish","result":"SUCCESS"}');
SELECT pg_temp.say(112, 96.4, 'machine.status', 'Deploying → Deployed', '{}', 'info');
SELECT pg_temp.say(112, 96.4, 'operation.done', 'deploy done', '{}', 'info');

-- ceph-02: being deployed.
SELECT pg_temp.say(120, 0, 'machine.status', 'Ready → Deploying', '{}', 'info');
SELECT pg_temp.network_boot(120, 0, 21);
SELECT pg_temp.say(120, 28.4, 'machine.agent', 'the ephemeral environment is up, 2.9 s after its kernel started', '{}', 'info');
SELECT pg_temp.say(120, 28.5, 'operation.step', 'installing');

-- build-02: stopped in its boot loader.
SELECT pg_temp.say(118, 0, 'machine.status', 'Ready → Deploying', '{}', 'info');
SELECT pg_temp.say(118, 1.8, 'operation.step', 'switching on, to boot from the network');
SELECT pg_temp.say(118, 3.1, 'operation.step', 'waiting for the ephemeral environment');
SELECT pg_temp.boot(118, 44, 'discover', 'DHCPDISCOVER (UEFI x64)');
SELECT pg_temp.boot(118, 45.1, 'ack', '10.77.0.32');
SELECT pg_temp.boot(118, 46.2, 'loader', 'ipxe.efi');
SELECT pg_temp.say(118, 360, 'machine.status', 'Deploying → Failed deployment: it fetched its boot loader (ipxe.efi) and asked for nothing more for 300 s', '{}', 'error');
SELECT pg_temp.say(118, 360, 'operation.failed', 'deploy failed: it fetched its boot loader (ipxe.efi) and asked for nothing more for 300 s', '{}', 'error');

-- A new machine on its way in.
SELECT pg_temp.say(121, 0, 'machine.status', 'New → Commissioning', '{}', 'info');
SELECT pg_temp.network_boot(121, 0, 14);
INSERT INTO event (at, kind, level, machine_id, actor, message) VALUES
    (now() - interval '23 seconds', 'machine.enlisted', 'info', 'n9m3k7', 'rack:rack-a1', 'a new machine was enlisted as machine-n9m3k7'),
    (now() - interval '2 hours', 'rack.disconnected', 'warning', NULL, 'rackwright', 'the rack rack-b1 is not heard any more'),
    (now() - interval '90 seconds', 'session.created', 'info', NULL, 'ann', 'ann logged in');

INSERT INTO work_item (id, operation_id, ordinal, kind, payload, status, percent, message, error, given_at, finished_at, duration_ms)
    OVERRIDING SYSTEM VALUE
    SELECT x.id, x.op, x.ordinal, x.kind, x.payload::jsonb, x.status, x.percent, x.message, '', o.created_at + make_interval(secs => x.given), o.created_at + make_interval(secs => x.ended), ((x.ended - x.given) * 1000)::bigint
    FROM (VALUES
        (11, 112, 1, 'install', '{"name":"debian-12@3"}', 'done', 100, 'installed', 28.4, 51.2),
        (12, 112, 2, 'reboot', '{}', 'done', 100, '', 51.2, 51.4),
        (21, 120, 1, 'install', '{"name":"debian-12@3"}', 'given', 62, 'writing the image, 1.3 of 2.1 GB', 28.6, NULL),
        (22, 120, 2, 'reboot', '{}', 'pending', NULL, '', NULL, NULL),
        (31, 107, 1, 'script', '{"name":"cpu-quick"}', 'done', 100, '', 30, 60),
        (32, 107, 2, 'script', '{"name":"memory-quick"}', 'done', 100, '', 60, 95),
        (33, 107, 3, 'script', '{"name":"disk-quick"}', 'done', 100, '', 95, 126),
        (34, 107, 4, 'script', '{"name":"disk-quick"}', 'done', 100, '', 126, 168),
        (35, 107, 5, 'script', '{"name":"network-quick"}', 'done', 100, '', 168, 171),
        (1, 101, 1, 'script', '{"name":"cpu-quick"}', 'done', 100, '', 30, 60),
        (2, 101, 2, 'script', '{"name":"disk-quick"}', 'failed', 100, '', 60, 75)
    ) AS x (id, op, ordinal, kind, payload, status, percent, message, given, ended) JOIN operation o ON o.id = x.op;

INSERT INTO script_run (machine_id, operation_id, work_item_id, script_id, name, script_type, hardware_type, target, status, exit_code, stdout, results, started_at, ended_at)
    SELECT 'm7d2qz', w.operation_id, w.id, s.id, s.name, 'testing', x.hardware, x.target, x.status, x.code, x.output, x.results::jsonb, w.given_at, w.finished_at
    FROM (VALUES
        (1, 'cpu', '', 'passed', 0, 'stress-ng: info: passed', '{"rounds": 9012, "seconds": 3, "mib_per_second": 12014}'),
        (2, 'storage', 'S64GNE0RS411795X2', 'failed', 1, 'read error at sector 120034', '{"read_mib_per_second": 311.9}'),
        (31, 'cpu', '', 'passed', 0, E'stress-ng: info:  [712] setting to a 30 secs run per stressor\nstress-ng: info:  [712] passed: 32: cpu (32)\n', '{"rounds": 9044, "seconds": 3, "mib_per_second": 12058}'),
        (32, 'memory', '', 'passed', 0, E'64 MiB, 4 patterns: passed\n', '{"tested_mib": 64, "patterns": 4}'),
        (33, 'storage', 'S64GNE0RS411795X2', 'passed', 0, E'SMART overall-health self-assessment: PASSED\nread 4 GiB in 1.5 s\n', '{"size_gib": 1788, "read_mib": 4096, "read_mib_per_second": 2712.4321}'),
        (34, 'storage', 'Z1X0A0S411795X2', 'passed', 0, E'SMART overall-health self-assessment: PASSED\nread 4 GiB in 15.2 s\n', '{"size_gib": 14902, "read_mib": 4096, "read_mib_per_second": 268.11}'),
        (35, 'network', '52:54:00:02:00:01', 'passed', 0, E'link 25000 Mbit/s, gateway answers, 0 of 100 lost\n', '{"loss_percent": 0, "rtt_ms": 0.21}')
    ) AS x (item, hardware, target, status, code, output, results)
    JOIN work_item w ON w.id = x.item JOIN script s ON s.name = w.payload ->> 'name' AND s.version = 1 ORDER BY w.id;

INSERT INTO work_log (work_item_id, boot_id, seq, at, text)
    SELECT x.item, '00000000-0000-0000-0000-000000000001', x.seq, o.created_at + make_interval(secs => x.seconds), x.text || E'\n'
    FROM (VALUES
        (21, 1, 28.7, 'layout flat on nvme0n1 (SAMSUNG MZQL21T9HCJR-00A07, S64GNE0RS411795X2)'),
        (21, 2, 29.0, '  nvme0n1p1  EFI system partition  512 MiB'),
        (21, 3, 29.0, '  nvme0n1p2  root                  1.9 TB  ext4'),
        (21, 4, 30.4, 'mkfs.ext4: 468619776 4k blocks, done'),
        (21, 5, 30.9, 'fetching debian-12@3 rootfs, 299 MB, sha256 5c6d1e0a…'),
        (21, 6, 44.2, 'unpacked 612 MB of 1074 MB'),
        (21, 7, 58.1, 'unpacked 841 MB of 1074 MB'),
        (11, 1, 28.7, 'layout flat on nvme0n1'),
        (11, 2, 50.9, 'installed; verified 31204 files')
    ) AS x (item, seq, seconds, text) JOIN work_item w ON w.id = x.item JOIN operation o ON o.id = w.operation_id;

-- They were written in the order of the stories; a site has them in the order of time.
CREATE TEMP TABLE told AS TABLE event;
DELETE FROM event;
INSERT INTO event (at, kind, level, machine_id, operation_id, actor, message, data)
    SELECT at, kind, level, machine_id, operation_id, actor, message, data FROM told ORDER BY at, id;

-- Serial consoles: one that is being recorded, and the end of one that failed.
INSERT INTO console (machine_id, session, session_bytes, session_told, total)
SELECT id, gen_random_uuid(), 0, TRUE, 400 FROM machine WHERE id IN ('d8e2f5', 'm7d2qz');
INSERT INTO console_chunk (machine_id, position, at, began_at, rack, bytes)
SELECT machine_id, 0, now() - interval '30 minutes', now() - interval '31 minutes', 'rack-a1',
       convert_to(rpad(E'\x1b[2J\x1b[1;1HiPXE 1.0.0+ -- Open Source Network Boot Firmware\r\nnet0: 52:54:00:05:00:01\r\nhttp://10.77.0.1:5248/boot/vmlinuz... ok\r\n\x1b[1;31mKernel panic - not syncing: No working init found.\x1b[0m\r\n', 400, '.'), 'UTF8')
FROM console;
UPDATE operation SET console_tail = E'http://10.77.0.1:5248/boot/vmlinuz... ok\nKernel panic - not syncing: No working init found.' WHERE id = 118;
