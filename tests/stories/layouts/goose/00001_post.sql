-- +goose Up
CREATE TABLE post (title text DEFAULT '${AUTHOR}', at timestamptz);

-- +goose Down
DROP TABLE post;
