-- What machines wrote to their serial consoles: of each machine the last of it.

-- Written with each chunk: room on the page lets the new version stay beside the old one.
CREATE TABLE console (
    machine_id    TEXT PRIMARY KEY REFERENCES machine (id) ON DELETE CASCADE,
    -- the recording that wrote last, and how many bytes of it have come
    session       UUID,
    session_bytes BIGINT NOT NULL DEFAULT 0,
    -- a chunk says that it began
    session_told  BOOLEAN NOT NULL DEFAULT FALSE,
    -- bytes ever stored: the position after the last chunk
    total         BIGINT NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Never changed; removed many at a time from the oldest on.
CREATE TABLE console_chunk (
    machine_id TEXT NOT NULL REFERENCES console (machine_id) ON DELETE CASCADE,
    -- bytes stored before this chunk
    position   BIGINT NOT NULL,
    at         TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- when the recording began, by the rack's clock; on its first chunk
    began_at   TIMESTAMPTZ,
    rack       TEXT NOT NULL,
    -- bytes of the recording that did not arrive, just before this chunk
    lost       BIGINT NOT NULL DEFAULT 0,
    -- as written: escape sequences, NUL and all
    bytes      BYTEA NOT NULL,
    PRIMARY KEY (machine_id, position)
);

-- Last lines of the console when the operation failed.
ALTER TABLE operation ADD COLUMN console_tail TEXT;
