-- Thirty more machines of the model of the ceph machines, each with results, so that there is something to compare with.
-- One of them has a slow disk. Values are made from the machine's number: the same in every run.
INSERT INTO machine (id, hostname, status, resting_status, pool, zone, tags, system_serial, vendor, product, cpu_cores, memory_mib,
                     storage_bytes, efi, commissioned_at, status_since, power_state, inventory)
    SELECT 'osd' || lpad(i::text, 3, '0'), 'osd-' || lpad(i::text, 2, '0'), 'ready', 'ready', 'research', 'row-b', '{ceph,nvme}', 'S4118' || i, 'Supermicro',
           'SYS-111C-NR', 16, 131072, 17921284071424, TRUE, now() - interval '7 days', now() - interval '7 days', 'off',
           jsonb_build_object('disks', jsonb_build_array(
               jsonb_build_object('name', 'nvme0n1', 'model', 'SAMSUNG MZQL21T9HCJR-00A07', 'serial', 'S64GNE0R' || i, 'size_bytes', 1920383410176),
               jsonb_build_object('name', 'sda', 'model', 'TOSHIBA MG08ACA16TE', 'serial', 'Z1X0A0' || i, 'size_bytes', 16000900661248)))
    FROM generate_series(4, 33) i;
SELECT setval(pg_get_serial_sequence('work_item', 'id'), 1000);
-- Between -1 and 1, most of them near 0.
CREATE FUNCTION pg_temp.near_zero(seed text) RETURNS double precision LANGUAGE sql AS $$
    SELECT avg(('x' || substr(md5(seed || n), 1, 8))::bit(32)::int / 2147483648.0)::float8 FROM generate_series(1, 3) n
$$;
CREATE TEMP TABLE measured (machine text, script text, target text, results jsonb);
INSERT INTO measured
    SELECT m.id, x.script, x.target, x.results
    FROM (SELECT id, regexp_replace(system_serial, '^S4118', '')::int AS i, system_serial FROM machine WHERE id LIKE 'osd%') m,
         LATERAL (SELECT pg_temp.near_zero(m.i || 'a') AS one, pg_temp.near_zero(m.i || 'b') AS two) w,
         LATERAL (VALUES
             ('cpu-quick', '', jsonb_build_object('rounds', 9100 + (w.one * 300)::int, 'seconds', 3, 'mib_per_second', 12130 + (w.one * 400)::int)),
             ('memory-quick', '', jsonb_build_object('tested_mib', 64, 'patterns', 4)),
             ('disk-read', 'S64GNE0R' || m.i, jsonb_build_object('read_mib_per_second', CASE WHEN m.i = 17 THEN 1604 ELSE 2700 + w.two * 90 END,
                 'random_read_iops', 402000 + (w.one * 21000)::int, 'random_read_p99_ms', 0.412 + w.two * 0.05)),
             ('disk-read', 'Z1X0A0' || m.i, jsonb_build_object('read_mib_per_second', 262 + w.one * 8, 'random_read_iops', 212 + (w.two * 20)::int,
                 'random_read_p99_ms', 21.3 + w.one * 3))) AS x (script, target, results);
-- The machine that the page is about reads its spinning disk slowly.
INSERT INTO measured VALUES
    ('m7d2qz', 'disk-read', 'S64GNE0RS411795X2', '{"read_mib_per_second": 2688.4, "random_read_iops": 411020, "random_read_p99_ms": 0.402}'),
    ('m7d2qz', 'disk-read', 'Z1X0A0S411795X2', '{"read_mib_per_second": 171.3, "random_read_iops": 148, "random_read_p99_ms": 48.9}');
-- The one that is being deployed was tested before that.
INSERT INTO operation (id, kind, machine_id, status, step, requested_by, created_at, finished_at, deadline, next_attempt_at)
    OVERRIDING SYSTEM VALUE
    SELECT CASE WHEN machine = 'm7d2qz' THEN 90 ELSE nextval(pg_get_serial_sequence('operation', 'id')) END, 'test', machine, 'done', 'finish-off', 'fleet',
           now() - interval '5 days', now() - interval '5 days', now(), now() FROM (SELECT DISTINCT machine FROM measured) AS machines;
INSERT INTO work_item (operation_id, ordinal, kind, payload, status)
    SELECT o.id, row_number() OVER (PARTITION BY o.id ORDER BY d.script, d.target), 'script', to_jsonb(d), 'done'
    FROM measured d JOIN operation o ON o.machine_id = d.machine AND o.requested_by = 'fleet';
INSERT INTO script_run (machine_id, operation_id, work_item_id, script_id, name, script_type, hardware_type, target, status, exit_code, results, started_at, ended_at)
    SELECT o.machine_id, o.id, w.id, s.id, s.name, 'testing', s.metadata ->> 'hardware_type', w.payload ->> 'target', 'passed', 0, w.payload -> 'results',
           now() - interval '5 days 40 seconds', now() - interval '5 days'
    FROM work_item w JOIN operation o ON o.id = w.operation_id AND o.requested_by = 'fleet' JOIN script s ON s.name = w.payload ->> 'script' AND s.version = 1;
DROP TABLE measured;
