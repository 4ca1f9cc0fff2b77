BEGIN;

-- Running upgrade c02d96aa7e31 -> d9b8e07f1c44

CREATE TABLE links (id integer PRIMARY KEY, note integer REFERENCES notes (id));;

UPDATE alembic_version SET version_num='d9b8e07f1c44' WHERE alembic_version.version_num = 'c02d96aa7e31';

COMMIT;

