CREATE TABLE person (
    first text,
    last text,
    shown text GENERATED ALWAYS AS (full_name(first, last)) STORED,
    UNIQUE (first, last)
);
