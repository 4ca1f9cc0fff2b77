CREATE TYPE source_new AS ENUM ('API', 'ANNOTATION');
ALTER TABLE score ALTER COLUMN source TYPE source_new USING (source::text::source_new);
ALTER TYPE source RENAME TO source_old;
ALTER TYPE source_new RENAME TO source;
DROP TYPE source_old;
