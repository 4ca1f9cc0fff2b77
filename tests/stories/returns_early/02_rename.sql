DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM information_schema.columns WHERE table_name = 'bucket' AND column_name = 'max_size') THEN
        RETURN;
    END IF;
    ALTER TABLE store.bucket RENAME COLUMN max_size TO size_limit;
END $$;
