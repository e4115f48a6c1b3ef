-- One machine whose every text is markup, as a hostile machine, switch or BMC would have it.
INSERT INTO machine (id, hostname, description, status, status_message, pool, zone, tags, system_serial, vendor, product, architecture,
                     cpu_cores, inventory, power_state, commissioned_at)
    SELECT 'x9x9x9', 'hostile', t, 'ready', t, 'default', 'default', ARRAY[t], t, t, t, t, 4, jsonb_build_object(
        'system', jsonb_build_object('vendor', t, 'product', t, 'version', t, 'serial', t, 'board', t),
        'firmware', jsonb_build_object('vendor', t, 'version', t, 'date', t), 'virtualization', t,
        'cpu', jsonb_build_object('architecture', t, 'model', t, 'cores', 4, 'sockets', 1, 'threads', 4),
        'memory_mib', 4096, 'dimms', jsonb_build_array(jsonb_build_object('slot', t, 'size_mib', 4096, 'kind', t, 'vendor', t, 'part', t, 'serial', t)),
        'disks', jsonb_build_array(jsonb_build_object('name', t, 'model', t, 'serial', t, 'transport', t, 'firmware', t, 'size_bytes', 1000000000)),
        'interfaces', jsonb_build_array(jsonb_build_object('name', t, 'mac', '52:54:00:66:66:66', 'driver', t, 'product', t, 'link', true,
            'lldp', jsonb_build_object('chassis', t, 'port', t, 'system', t, 'description', t))),
        'gpus', jsonb_build_array(jsonb_build_object('address', t, 'vendor', t, 'device', t, 'class', t, 'driver', t))), 'on', now()
    FROM (SELECT '"''><script>document.title=''owned''</script><img src=x onerror="document.title=''owned''">' AS t) AS hostile;
INSERT INTO bmc (machine_id, driver, address, username, error) SELECT id, 'ipmi', description, description, description FROM machine WHERE id = 'x9x9x9';
INSERT INTO operation (id, kind, machine_id, status, step, message, error, requested_by, created_at, deadline, next_attempt_at)
    OVERRIDING SYSTEM VALUE
    SELECT 190, 'test', id, 'failed', description, description, description, description, now() - interval '1 minute', now(), now() FROM machine WHERE id = 'x9x9x9';
UPDATE operation SET finished_at = now() WHERE id = 190;
INSERT INTO work_item (id, operation_id, ordinal, kind, payload, status, message, error, given_at) OVERRIDING SYSTEM VALUE
    SELECT 90, 190, 1, 'script', jsonb_build_object('name', description), 'failed', description, description, now() - interval '30 seconds' FROM machine WHERE id = 'x9x9x9';
INSERT INTO work_log (work_item_id, boot_id, seq, text) SELECT 90, gen_random_uuid(), 1, description FROM machine WHERE id = 'x9x9x9';
INSERT INTO script_run (machine_id, operation_id, work_item_id, script_id, name, script_type, hardware_type, target, status, stdout, stderr, results)
    SELECT m.id, 190, 90, s.id, description, 'testing', 'storage', description, 'failed', description, description, jsonb_build_object(description, description)
    FROM machine m, script s WHERE m.id = 'x9x9x9' AND s.name = 'disk-quick';
INSERT INTO event (kind, level, machine_id, operation_id, actor, message, data)
    SELECT k.kind, 'error', m.id, 190, description, description, jsonb_build_object('stage', description, 'name', description, 'event_type', 'finish')
    FROM machine m, (VALUES ('machine.boot'), ('machine.agent'), ('machine.cloud-init'), ('operation.step'), ('machine.status')) AS k (kind) WHERE m.id = 'x9x9x9';
