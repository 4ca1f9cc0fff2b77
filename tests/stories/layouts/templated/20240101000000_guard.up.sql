DO $$
BEGIN
    IF to_regclass('{{ index .Options "Namespace" }}.users') IS NULL THEN
        RAISE EXCEPTION 'no users';
    END IF;
    CREATE ROLE {{ .Owner }}_{{- .Namespace -}};
    DROP ROLE {{ .Owner }}_{{ .Namespace }};
END $$;
