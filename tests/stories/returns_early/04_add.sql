DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_enum JOIN pg_type ON pg_enum.enumtypid = pg_type.oid
                   WHERE pg_type.typname = 'kind' AND enumlabel = 'vector') THEN
        ALTER TYPE store.kind ADD VALUE 'vector';
    END IF;
END $$;
