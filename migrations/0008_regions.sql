-- Several regions: tokens with which a box becomes one, which of them work, and what their image stores lack.

-- A token of a region is proven by other words than a rack's, so an older region takes none for the other.
ALTER TABLE rack_token ADD COLUMN controller TEXT NOT NULL DEFAULT 'rack'
    CONSTRAINT rack_token_controller_known CHECK (controller IN ('rack', 'region'));

ALTER TABLE region
    -- of the data folder: tells a box that comes back from another box with its name
    ADD COLUMN identity UUID,
    -- takes no new work, because somebody wants to stop it
    ADD COLUMN draining BOOLEAN NOT NULL DEFAULT FALSE,
    -- when another region told of its silence
    ADD COLUMN lost_at TIMESTAMPTZ,
    -- names of the racks that have a stream to it
    ADD COLUMN racks TEXT[] NOT NULL DEFAULT '{}',
    -- hashes of files of images that its store does not have, and why the last attempt to fetch one failed
    ADD COLUMN lacks TEXT[] NOT NULL DEFAULT '{}',
    ADD COLUMN lacks_because TEXT NOT NULL DEFAULT '';
