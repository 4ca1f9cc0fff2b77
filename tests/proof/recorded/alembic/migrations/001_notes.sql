BEGIN;

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL, 
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

-- Running upgrade  -> a1f0c3d29b10

CREATE TABLE notes (id integer PRIMARY KEY, title text NOT NULL);;

CREATE INDEX notes_title ON notes (title);;

INSERT INTO alembic_version (version_num) VALUES ('a1f0c3d29b10') RETURNING alembic_version.version_num;

COMMIT;

