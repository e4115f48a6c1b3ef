-- A request under an Idempotency-Key is carried out once, whichever regions die meanwhile: its transaction sets
-- carried_out, under the epoch of its claim on the key. A repetition may take a claim that was not carried out and got
-- no answer; that raises the epoch, and the transaction of the one before is refused.
ALTER TABLE idempotency_key
    ADD COLUMN epoch       BIGINT NOT NULL DEFAULT 1,
    ADD COLUMN carried_out BOOLEAN NOT NULL DEFAULT FALSE;
