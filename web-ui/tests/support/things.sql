-- What racks, workers and time bring, beside what people enter (`things.rs`).

-- An action on many machines that a region is at, and that somebody may stop.
WITH asked AS (
    INSERT INTO bulk (user_id, verb, created_at)
    SELECT id, 'commission', now() - interval '40 seconds' FROM "user" WHERE name = 'ann' RETURNING id)
INSERT INTO bulk_item (bulk_id, ordinal, machine_id, hostname, status, message, claimed_until)
    SELECT asked.id, m.ordinal, m.machine, m.hostname, m.status, m.message, now() + interval '1 hour'
    FROM asked, (VALUES (1, 'y7z4a9', 'edge-07', 'done', ''), (2, 'k3x9ab', 'ceph-01', 'refused', 'it is locked; unlock it first'),
                        (3, 'p5t8rw', 'ceph-03', 'pending', '')) AS m (ordinal, machine, hostname, status, message);

INSERT INTO notification (rule_id, event, event_id, machine_id, state, created_at, error)
    SELECT r.id, jsonb_build_object('id', e.id, 'at', '2026-11-22T06:00:00Z', 'kind', e.kind, 'level', e.level, 'machine', e.machine_id,
               'operation', e.operation_id, 'actor', e.actor, 'message', e.message, 'data', '{}'::jsonb),
           e.id, e.machine_id, CASE WHEN r.name = 'night' THEN 'failed' ELSE 'shown' END, e.at,
           CASE WHEN r.name = 'night' THEN 'mail.example does not answer' END
    FROM event e, notification_rule r WHERE e.level IN ('warning', 'error') AND (r.name <> 'night' OR e.machine_id IS NOT NULL)
    ON CONFLICT DO NOTHING;

UPDATE switch SET read_at = now() - interval '20 seconds', rack_id = (SELECT id FROM rack WHERE name = 'rack-a1'), reading = '{
    "name": "sw-a1", "description": "Arista Networks EOS version 4.30.1F", "chassis": "44:4c:a8:02:11:c0",
    "vlans": [{"vid": 77, "name": "machines"}, {"vid": 78, "name": "management"}],
    "ports": [{"number": 1, "name": "Ethernet1", "alias": "ceph-01", "up": true, "speed_mbps": 25000, "pvid": 77, "untagged": [77]},
              {"number": 2, "name": "Ethernet2", "alias": "ceph-02", "up": true, "speed_mbps": 25000, "pvid": 77, "untagged": [77], "tagged": [78]},
              {"number": 3, "name": "Ethernet3", "alias": "", "up": false, "pvid": 78, "untagged": [78]}],
    "macs": [{"mac": "52:54:00:01:00:01", "vid": 77, "port": 1}, {"mac": "52:54:00:99:00:07", "vid": 77, "port": 2}]}';

INSERT INTO dhcp_server (subnet_id, server, rack) SELECT id, '10.77.0.66', 'rack-a1' FROM subnet WHERE name = 'machines';
INSERT INTO wiring_fault (machine_id, interface, switch, port, seen_vid, model_vid, message)
    VALUES ('p5t8rw', 'eno1', 'sw-a1', 'Ethernet3', 78, 77, 'eno1 of ceph-03 is in VLAN 78 at sw-a1 Ethernet3, and in VLAN 77 in the model');
INSERT INTO discovery_ignored (mac) VALUES ('b8:27:eb:40:00:31');

INSERT INTO login_provider (issuer, client_id, base_url, label, roles)
    VALUES ('https://id.example/realms/lab', 'rackwright', 'https://rackwright.lab.example', 'Log in with the institute',
            '[{"group": "ops", "role": "operator"}, {"group": "build", "role": "user", "pool": "build-farm"}]');
