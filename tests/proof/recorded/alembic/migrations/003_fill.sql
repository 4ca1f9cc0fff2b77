BEGIN;

-- Running upgrade b7e4415c8d22 -> c02d96aa7e31

UPDATE notes SET stars = 0 WHERE stars IS NULL;;

UPDATE alembic_version SET version_num='c02d96aa7e31' WHERE alembic_version.version_num = 'b7e4415c8d22';

COMMIT;

