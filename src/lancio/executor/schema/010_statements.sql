-- What a row of lancio.step costs, for it is a part of every small step's time. A step's statements are in the step's own
-- row; the table of before is a view. The index by name is gone, few ledgers have more rows than are read at once; and so
-- is the check of `state`, which the server reads and compiles again for each row: Lancio alone writes here.

ALTER TABLE lancio.step ADD COLUMN statements jsonb NOT NULL DEFAULT '[]';
UPDATE lancio.step AS s SET statements = t.statements
FROM (SELECT step, jsonb_agg(jsonb_build_object('line', line, 'summary', summary)
                             || CASE WHEN duration_ms IS NULL THEN '{}'
                                     ELSE jsonb_build_object('duration_ms', duration_ms) END
                             ORDER BY ordinal) AS statements
      FROM lancio.statement GROUP BY step) AS t
WHERE t.step = s.id;
COMMENT ON COLUMN lancio.step.statements IS 'Line and summary of its statements, in the order they ran; duration_ms of those that committed by themselves, the others have theirs in lancio.event';

DROP INDEX IF EXISTS lancio.step_migration_idx;
ALTER TABLE lancio.step DROP CONSTRAINT IF EXISTS step_state_check;

ALTER TABLE lancio.statement RENAME TO statement_before;
CREATE VIEW lancio.statement AS
SELECT s.id AS step, t.ordinal::integer AS ordinal, (t.said ->> 'line')::integer AS line, t.said ->> 'summary' AS summary,
       'applied'::text AS state, (t.said ->> 'duration_ms')::double precision AS duration_ms
FROM lancio.step AS s CROSS JOIN LATERAL jsonb_array_elements(s.statements) WITH ORDINALITY AS t (said, ordinal);
COMMENT ON VIEW lancio.statement IS 'The statements of each step, a row each';

-- Who might read it, may.
DO $$
DECLARE
    reader record;
BEGIN
    FOR reader IN
        SELECT a.grantee FROM pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a
        WHERE c.oid = 'lancio.statement_before'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
    LOOP
        EXECUTE 'GRANT SELECT ON lancio.statement TO '
                || CASE reader.grantee WHEN 0 THEN 'PUBLIC' ELSE reader.grantee::regrole::text END;
    END LOOP;
END
$$;
DROP TABLE lancio.statement_before;
