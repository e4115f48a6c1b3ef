-- A site of `bench.machines` machines: 6 disks and 5 interfaces each (`bench.inventory` is the agent's report as a
-- template), statuses mixed, tags, a BMC, ten events, one finished test with four script runs.

INSERT INTO fabric (name) VALUES ('bench');
INSERT INTO vlan (fabric_id, vid, name, dhcp) SELECT id, 0, 'bench', TRUE FROM fabric WHERE name = 'bench';
INSERT INTO subnet (vlan_id, name, cidr, gateway)
SELECT id, 'bench', '10.64.0.0/16', '10.64.255.254' FROM vlan WHERE name = 'bench';
INSERT INTO zone (name) VALUES ('rack-a'), ('rack-b'), ('rack-c');
INSERT INTO pool (name) VALUES ('batch'), ('web');
INSERT INTO image (name, version, kind, title) VALUES ('debian-12', 3, 'os', 'Debian 12');

-- `h`: the number as three bytes of a MAC.
CREATE TEMPORARY TABLE seed AS
SELECT n, 'm' || lpad(n::text, 5, '0') AS id,
       regexp_replace(lpad(to_hex(n), 6, '0'), '(..)(..)(..)', '\1:\2:\3') AS h,
       (ARRAY['deployed', 'deployed', 'ready', 'deployed', 'deploying', 'deployed', 'allocated', 'deployed', 'ready', 'new',
              'deployed', 'deployed', 'ready', 'failed-deployment', 'deployed', 'commissioning', 'deployed', 'broken', 'ready',
              'failed-testing'])[1 + n % 20] AS status
FROM generate_series(1, current_setting('bench.machines')::int) n;

INSERT INTO machine (id, hostname, description, status, status_message, resting_status, owner_id, pool, zone, tags, system_uuid,
                     system_serial, vendor, product, cpu_cores, memory_mib, storage_bytes, efi, inventory, commissioned_at,
                     power_state, power_seen_at, last_seen_at, image_id, deployed_at)
SELECT id, 'node-' || lpad(n::text, 5, '0'), 'Row ' || n % 12 || ', unit ' || n % 40, status,
       CASE WHEN status LIKE 'failed%' THEN 'The disk sda did not answer; replace it and try again' ELSE '' END, 'ready',
       CASE WHEN status IN ('deployed', 'deploying', 'allocated') THEN (SELECT id FROM "user" WHERE name = 'admin') END,
       (ARRAY['default', 'batch', 'web'])[1 + n % 3], (ARRAY['rack-a', 'rack-b', 'rack-c'])[1 + n % 3],
       ARRAY['site-' || n % 4, 'gen-' || n % 3, CASE WHEN n % 5 = 0 THEN 'gpu' ELSE 'cpu' END],
       md5(n::text)::uuid, 'SN' || lpad(n::text, 6, '0'), 'Example Computers', 'Example R740', 32, 196608,
       6 * 1920383410176, TRUE,
       replace(regexp_replace(current_setting('bench.inventory'), '(52:54:0.):00:00:00', '\1:' || h, 'g'),
               '@', lpad(n::text, 6, '0'))::jsonb,
       now() - interval '30 days', CASE WHEN status IN ('deployed', 'deploying') THEN 'on' ELSE 'off' END, now(), now(),
       CASE WHEN status = 'deployed' THEN (SELECT id FROM image WHERE name = 'debian-12') END,
       CASE WHEN status = 'deployed' THEN now() - interval '20 days' END
FROM seed;

INSERT INTO interface (machine_id, mac, name, boot, link, subnet_id, address)
SELECT id, '52:54:0' || i || ':' || h, 'eno' || i, i = 1, i < 4,
       CASE WHEN i = 1 THEN (SELECT s.id FROM subnet s WHERE s.name = 'bench') END,
       CASE WHEN i = 1 THEN '10.64.0.0'::inet + n END
FROM seed CROSS JOIN generate_series(1, 5) i;

INSERT INTO bmc (machine_id, driver, address, username, secret)
SELECT id, 'ipmi', host('10.65.0.0'::inet + n), 'rackwright', decode(md5(id) || md5(h), 'hex') FROM seed;

INSERT INTO operation (kind, machine_id, step, deadline, requested_by, message)
SELECT CASE status WHEN 'deploying' THEN 'deploy' ELSE 'commission' END, id, 'booting', now() + interval '1 hour', 'admin',
       'waits for the agent'
FROM seed WHERE status IN ('deploying', 'commissioning');

INSERT INTO operation (kind, machine_id, status, step, deadline, requested_by, finished_at)
SELECT 'test', id, 'done', 'done', now(), 'admin', now() FROM seed;
INSERT INTO work_item (operation_id, ordinal, kind, status)
SELECT o.id, i, 'script', 'done' FROM operation o CROSS JOIN generate_series(1, 4) i WHERE o.kind = 'test';
INSERT INTO script_run (machine_id, operation_id, work_item_id, script_id, name, script_type, hardware_type, status, exit_code,
                        stdout)
SELECT o.machine_id, o.id, w.id, s.id, s.name || '-' || w.ordinal, 'testing', 'cpu',
       CASE WHEN m.status = 'failed-testing' AND w.ordinal = 1 THEN 'failed' ELSE 'passed' END, 0, repeat('ok ', 200)
FROM work_item w JOIN operation o ON o.id = w.operation_id JOIN seed m ON m.id = o.machine_id
     CROSS JOIN (SELECT id, name FROM script ORDER BY id LIMIT 1) s;

INSERT INTO event (at, kind, machine_id, actor, message)
SELECT now() - interval '1 minute' * i, 'machine.status', id, 'rackwright', 'Step ' || i || ' of ten'
FROM seed CROSS JOIN generate_series(1, 10) i;

DROP TABLE seed;
ANALYZE;
