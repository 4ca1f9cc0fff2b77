-- The layout that Lancio's registry does not have: the plain text is kept beside the encrypted one, and what is encrypted
-- is encrypted by one key of all rows. `lancio prove-no-leak --against plain` must find the secret in it.

CREATE OR REPLACE FUNCTION platform.encrypt_database_connection_string() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
AS $body$
BEGIN
    IF to_jsonb(NEW) ? 'organization_id' THEN  -- from 007 on
        NEW.organization_id := (SELECT p.organization_id FROM platform.projects p WHERE p.id = NEW.project_id);
    END IF;
    NEW.connection_string_encrypted := pgp_sym_encrypt(NEW.connection_string, 'the key of all');
    RETURN NEW;
END
$body$;

CREATE OR REPLACE FUNCTION platform.decrypt_database_connection_string(database_id uuid) RETURNS text
    LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT
AS $body$
    SELECT pgp_sym_decrypt(d.connection_string_encrypted, 'the key of all') FROM platform.databases d
    WHERE d.id = decrypt_database_connection_string.database_id
$body$;
