-- The change at which the database was found older than the racks, because it was restored; 0 when it is not any more. Until
-- every rack that it knows has promised since, or is out, nobody is granted addresses: it does not know who has them.
ALTER TABLE lease_change ADD COLUMN restored BIGINT NOT NULL DEFAULT 0;
