-- Pages of the machine list walk one index in the order they show, whatever the number of machines; the addresses
-- of a row are read without its other interfaces.
CREATE INDEX machine_hostname_order ON machine (hostname COLLATE "C");
CREATE INDEX interface_with_address ON interface (machine_id) WHERE address IS NOT NULL;
