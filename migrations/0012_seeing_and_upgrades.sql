-- What the status page tells of takeovers, and which programs may work with this schema.

CREATE INDEX event_taken_over ON event (id) WHERE kind = 'operation.taken-over';

-- A program works with a schema that is newer than it as long as its own newest migration is not before `needs`. What only
-- adds leaves that alone; a migration that takes something away is marked (docs/upgrades.md) and sets `needs` to the number of
-- the last one that its users must have known.
CREATE TABLE schema_rule (
    only_row BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    needs    BIGINT NOT NULL
);
INSERT INTO schema_rule (needs) VALUES (12);
