-- What people do on the pages: end an action on many machines, type into consoles.

-- The token with which it was asked for: an action ends when that is removed. No foreign key: the row may be gone.
ALTER TABLE bulk ADD COLUMN token_id BIGINT;
-- Who ended it before its last machine.
ALTER TABLE bulk ADD COLUMN stopped_by TEXT;

-- Whose turn it is to type into a machine's console, and until when it is held open for those who look at it.
CREATE TABLE console_seat (
    machine_id   TEXT PRIMARY KEY REFERENCES machine (id) ON DELETE CASCADE,
    -- somebody looks at it: racks open it
    wanted_until TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- who types; drawn anew whenever somebody else takes over
    seat         UUID,
    user_id      BIGINT REFERENCES "user" (id) ON DELETE SET NULL,
    name         TEXT NOT NULL DEFAULT '',
    held_until   TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- What was typed and no rack has taken yet. People type passwords: the text is sealed, and the table is in no log, copy or backup of
-- the database's files. What a crash loses was seconds old and would not be typed any more.
CREATE UNLOGGED TABLE console_input (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_id TEXT NOT NULL,
    at         TIMESTAMPTZ NOT NULL DEFAULT now(),
    sealed     BYTEA NOT NULL
);
CREATE INDEX console_input_machine ON console_input (machine_id, id);
