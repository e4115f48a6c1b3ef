-- Login at an OpenID Connect provider, and who is told of what happens.

ALTER TABLE "user"
    -- of one who logs in at the provider: its issuer and their subject there (OpenID Connect Core 1.0 section 5.7), a blank between
    ADD COLUMN subject TEXT CONSTRAINT user_subject_unique UNIQUE
        CONSTRAINT user_subject_format CHECK (subject ~ '^https?://[^ ]+ [^ ].{0,254}$'),
    -- the last notification on the page that they have seen
    ADD COLUMN notifications_seen BIGINT NOT NULL DEFAULT 0;

-- Where people may log in besides here.
CREATE TABLE login_provider (
    only_row      BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    issuer        TEXT NOT NULL CONSTRAINT login_provider_issuer_check CHECK (length(issuer) BETWEEN 1 AND 500),
    client_id     TEXT NOT NULL CONSTRAINT login_provider_client_id_check CHECK (length(client_id) BETWEEN 1 AND 500),
    -- under the master key, nonce first; none for a public client
    client_secret BYTEA,
    -- where people open the pages
    base_url      TEXT NOT NULL CONSTRAINT login_provider_base_url_check CHECK (length(base_url) BETWEEN 1 AND 500),
    label         TEXT NOT NULL CONSTRAINT login_provider_label_check CHECK (length(label) BETWEEN 1 AND 50),
    scopes        TEXT[] NOT NULL DEFAULT '{}',
    groups_claim  TEXT NOT NULL DEFAULT 'groups',
    -- [{"group": …, "role": …, "pool": … or absent}]
    roles         JSONB NOT NULL DEFAULT '[]',
    -- of one who is in none of the groups; none: they are refused
    default_role  TEXT CONSTRAINT login_provider_role_known CHECK (default_role IN ('viewer', 'user', 'operator', 'administrator')),
    -- users whom nobody has entered are made when they log in first
    create_users  BOOLEAN NOT NULL DEFAULT FALSE,
    -- PEM of authorities to trust besides the box's own
    ca            TEXT
);

-- Who is told of what: each rule looks at each event as it is written; what it lets through is a notification.
CREATE TABLE notification_rule (
    id         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       TEXT NOT NULL CONSTRAINT notification_rule_name_unique UNIQUE
               CONSTRAINT notification_rule_name_check CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    enabled    BOOLEAN NOT NULL DEFAULT TRUE,
    -- event kinds; a trailing .* takes all of a noun; empty: all
    kinds      TEXT[] NOT NULL DEFAULT '{}',
    -- this level and those above it
    level      TEXT NOT NULL DEFAULT 'warning' CHECK (level IN ('debug', 'info', 'warning', 'error')),
    -- about machines of this pool only
    pool       TEXT CONSTRAINT notification_rule_pool_exists REFERENCES pool (name) ON DELETE CASCADE,
    -- rackwright_region::model::notification::Channel, without its secret
    channel    JSONB NOT NULL,
    -- the mail server's password or the webhook's key, under the master key, nonce first
    secret     BYTEA,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE notification (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule_id         BIGINT NOT NULL REFERENCES notification_rule (id) ON DELETE CASCADE,
    -- whole, as it is told: what is sent does not change when events are removed
    event           JSONB NOT NULL,
    event_id        BIGINT NOT NULL,
    machine_id      TEXT,
    -- shown: on the page; pending, sent, failed: of what is sent
    state           TEXT NOT NULL CHECK (state IN ('shown', 'pending', 'sent', 'failed')),
    attempt         INTEGER NOT NULL DEFAULT 0,
    next_attempt_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- raised by each claim; only its holder writes what came of it
    epoch           BIGINT NOT NULL DEFAULT 0,
    error           TEXT,
    created_at      TIMESTAMPTZ NOT NULL DEFAULT now(),
    sent_at         TIMESTAMPTZ,
    CONSTRAINT notification_once UNIQUE (rule_id, event_id)
);
CREATE INDEX notification_due ON notification (next_attempt_at) WHERE state = 'pending';
CREATE INDEX notification_shown ON notification (id) WHERE state = 'shown';
CREATE INDEX notification_trouble ON notification (state) WHERE state IN ('pending', 'failed') AND error IS NOT NULL;
CREATE INDEX notification_created ON notification (created_at);

CREATE FUNCTION notify_people() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    levels CONSTANT TEXT[] := ARRAY['debug', 'info', 'warning', 'error'];
BEGIN
    INSERT INTO notification (rule_id, event_id, machine_id, state, event)
    SELECT r.id, NEW.id, NEW.machine_id, CASE r.channel ->> 'kind' WHEN 'page' THEN 'shown' ELSE 'pending' END,
           jsonb_build_object('id', NEW.id, 'at', to_char(NEW.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'kind', NEW.kind,
                              'level', NEW.level, 'machine', NEW.machine_id, 'operation', NEW.operation_id, 'actor', NEW.actor,
                              'message', NEW.message, 'data', NEW.data)
    FROM notification_rule r
    WHERE r.enabled
      AND array_position(levels, NEW.level) >= array_position(levels, r.level)
      AND (r.kinds = '{}' OR NEW.kind = ANY (r.kinds)
           OR EXISTS (SELECT 1 FROM unnest(r.kinds) k WHERE k LIKE '%.*' AND starts_with(NEW.kind, left(k, -1))))
      AND (r.pool IS NULL OR EXISTS (SELECT 1 FROM machine m WHERE m.id = NEW.machine_id AND m.pool = r.pool));
    RETURN NULL;
END $$;
CREATE TRIGGER event_people AFTER INSERT ON event FOR EACH ROW EXECUTE FUNCTION notify_people();
