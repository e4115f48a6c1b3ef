-- One action on many machines: asked for once, carried out machine by machine by whichever region is there.

CREATE TABLE bulk (
    id          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id     BIGINT NOT NULL REFERENCES "user" (id) ON DELETE CASCADE,
    -- rackwright_region::model::bulk::BulkVerb
    verb        TEXT NOT NULL,
    -- rackwright_region::model::bulk::BulkParameters
    parameters  JSONB NOT NULL DEFAULT '{}',
    -- from where it was asked
    source      TEXT,
    created_at  TIMESTAMPTZ NOT NULL DEFAULT now(),
    finished_at TIMESTAMPTZ
);

CREATE TABLE bulk_item (
    bulk_id       BIGINT NOT NULL REFERENCES bulk (id) ON DELETE CASCADE,
    ordinal       INTEGER NOT NULL,
    -- no foreign key: a machine may be removed meanwhile, also by this
    machine_id    TEXT NOT NULL,
    hostname      TEXT NOT NULL,
    status        TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'done', 'refused')),
    -- why it was refused
    message       TEXT NOT NULL DEFAULT '',
    -- a region is at it
    claimed_until TIMESTAMPTZ,
    PRIMARY KEY (bulk_id, ordinal)
);
CREATE INDEX bulk_item_pending ON bulk_item (bulk_id, ordinal) WHERE status = 'pending';
