-- A machine's page compares it with the latest commissioned of its model, whatever the number of machines.
CREATE INDEX machine_model ON machine (vendor, product, commissioned_at DESC NULLS LAST, id);
