-- +migrate Up notransaction
ALTER TABLE tag ADD COLUMN label text;
-- +migrate Down
ALTER TABLE tag DROP COLUMN label;
