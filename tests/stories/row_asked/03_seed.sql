DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM account WHERE email = 'gone@example.org') THEN
        INSERT INTO account (email, safe) VALUES ('gone@example.org', true);
    END IF;
END $$;
