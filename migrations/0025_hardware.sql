-- What a reading of a machine's hardware found otherwise than the one before.

CREATE TABLE hardware_change (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id   TEXT NOT NULL REFERENCES machine (id) ON DELETE CASCADE,
    operation_id BIGINT,
    at           TIMESTAMPTZ NOT NULL DEFAULT now(),
    kind         TEXT NOT NULL CONSTRAINT hardware_change_kind CHECK (kind IN ('gone', 'new', 'changed')),
    -- what people call it, such as: memory module DIMM_A3
    part         TEXT NOT NULL,
    before       TEXT NOT NULL DEFAULT '',
    after        TEXT NOT NULL DEFAULT '',
    -- somebody has said that it is meant, or the part is back
    accepted_at  TIMESTAMPTZ,
    accepted_by  TEXT
);

CREATE INDEX hardware_change_of_machine ON hardware_change (machine_id, id);
CREATE INDEX hardware_change_open ON hardware_change (id) WHERE kind = 'gone' AND accepted_at IS NULL;
