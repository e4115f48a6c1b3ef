-- Who may do what: users, their sessions, API tokens and SSH keys; settings; replies kept for Idempotency-Key.

CREATE TABLE "user" (
    id            BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name          TEXT NOT NULL CONSTRAINT user_name_unique UNIQUE
                  CONSTRAINT user_name_format CHECK (name ~ '^[a-z][a-z0-9._-]{0,63}$'),
    -- argon2id in PHC notation; NULL: logs in by token only
    password_hash TEXT,
    role          TEXT NOT NULL CONSTRAINT user_role_known CHECK (role IN ('viewer', 'user', 'operator', 'administrator')),
    disabled      BOOLEAN NOT NULL DEFAULT FALSE,
    created_at    TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE session (
    token_hash BYTEA PRIMARY KEY,
    user_id    BIGINT NOT NULL REFERENCES "user" (id) ON DELETE CASCADE,
    csrf       TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ NOT NULL
);

CREATE TABLE token (
    id           BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id      BIGINT NOT NULL REFERENCES "user" (id) ON DELETE CASCADE,
    name         TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    hash         BYTEA NOT NULL UNIQUE,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at   TIMESTAMPTZ,
    last_used_at TIMESTAMPTZ,
    CONSTRAINT token_name_unique UNIQUE (user_id, name)
);

CREATE TABLE ssh_key (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id    BIGINT NOT NULL REFERENCES "user" (id) ON DELETE CASCADE,
    -- one authorized_keys line
    public_key TEXT NOT NULL CHECK (length(public_key) BETWEEN 20 AND 16384),
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT ssh_key_unique UNIQUE (user_id, public_key)
);

CREATE TABLE setting (
    name       TEXT PRIMARY KEY,
    value      JSONB NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE idempotency_key (
    user_id      BIGINT NOT NULL REFERENCES "user" (id) ON DELETE CASCADE,
    key          TEXT NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    -- SHA-256 of method, path and body: one key names one request
    request_hash BYTEA NOT NULL,
    -- NULL while the first request is still being answered
    status       INTEGER,
    response     JSONB,
    created_at   TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
