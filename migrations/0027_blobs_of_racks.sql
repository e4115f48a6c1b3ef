-- Which blobs a rack has whole, as it said last; none of a rack that says nothing of it.

ALTER TABLE rack ADD COLUMN blobs TEXT[];
