BEGIN;

-- Running upgrade a1f0c3d29b10 -> b7e4415c8d22

CREATE TABLE tags (id integer PRIMARY KEY, note integer REFERENCES notes (id));;

ALTER TABLE notes ADD COLUMN stars integer;;

UPDATE alembic_version SET version_num='b7e4415c8d22' WHERE alembic_version.version_num = 'a1f0c3d29b10';

COMMIT;

