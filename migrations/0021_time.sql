-- How each controller has the time (rackwright_common::ntp::TimeReport); NULL of one that serves none, or never said.
ALTER TABLE region ADD COLUMN time JSONB;
ALTER TABLE rack ADD COLUMN time JSONB;

-- Racks take the time from regions that serve it, machines from racks that have it.
CREATE TRIGGER region_time_world AFTER UPDATE OF time ON region FOR EACH ROW
    WHEN ((OLD.time IS NULL) IS DISTINCT FROM (NEW.time IS NULL)) EXECUTE FUNCTION notify_world();
CREATE TRIGGER rack_time_world AFTER UPDATE OF time ON rack FOR EACH ROW
    WHEN ((OLD.time ->> 'state') IS DISTINCT FROM (NEW.time ->> 'state')) EXECUTE FUNCTION notify_world();
