-- name: project
SELECT p.id FROM platform.projects p ORDER BY p.slug <> 'lancio-studio', p.id LIMIT 1;

-- name: isolated
SELECT to_regprocedure('platform.set_context(uuid, uuid)') IS NOT NULL;

-- name: member
-- A user of the organization whose project is used.
WITH someone AS (
    INSERT INTO platform.users (id, primary_email)
    VALUES (%(user)s, 'canary-' || %(user)s || '@canary.invalid') RETURNING id
)
INSERT INTO platform.organization_members (id, organization_id, user_id, role)
SELECT someone.id, p.organization_id, someone.id, 'admin'
FROM someone, (SELECT organization_id FROM platform.projects ORDER BY slug <> 'lancio-studio', id LIMIT 1) p
RETURNING organization_id AS organization, user_id AS "user";

-- name: broker
SET LOCAL ROLE lancio_service;

-- name: context
SELECT platform.set_context(%(user)s, %(organization)s);

-- name: own_place
WITH organization AS (
    INSERT INTO platform.organizations (id, slug, name, kind)
    VALUES (%(organization)s, %(slug)s, 'canary', 'company') RETURNING id
)
INSERT INTO platform.projects (id, organization_id, slug, name)
SELECT %(project)s, organization.id, %(slug)s, 'canary' FROM organization;

-- name: keys_there
SELECT to_regclass('platform.data_keys') IS NOT NULL;

-- name: organization
SELECT p.organization_id FROM platform.projects p WHERE p.id = %(project)s;

-- name: set
SELECT set_config(%(name)s, %(value)s, %(local)s) IS NOT NULL;

-- name: insert
INSERT INTO platform.databases (id, project_id, name, type, connection_string, host, port)
VALUES (%(id)s, %(project)s, %(name)s, 'redis', %(url)s, %(host)s, 6379)
RETURNING id, connection_string, connection_string_encrypted, password;

-- name: insert_sealed
INSERT INTO platform.databases (id, project_id, name, type, connection_string, connection_string_encrypted, host, port)
VALUES (%(id)s, %(project)s, %(name)s, 'redis', %(form)s, %(envelope)s, %(host)s, 6379)
RETURNING id, connection_string, connection_string_encrypted;

-- name: from_setting
SELECT platform.register_database_from_setting(%(project)s, %(name)s, 'redis', 'lancio.canary_url');

-- name: update
UPDATE platform.databases SET connection_string = %(url)s WHERE id = %(id)s
RETURNING connection_string, connection_string_encrypted;

-- name: upsert
INSERT INTO platform.databases AS d (id, project_id, name, type, connection_string, host, port)
VALUES (%(id)s, %(project)s, %(name)s, 'redis', %(url)s, %(host)s, 6379)
ON CONFLICT (id) DO UPDATE SET connection_string = EXCLUDED.connection_string,
                               connection_string_encrypted = EXCLUDED.connection_string_encrypted
RETURNING d.connection_string;

-- name: health
SELECT platform.update_database_health(%(id)s, 'unhealthy', 'connection refused');

-- name: copy_in
COPY platform.databases (id, project_id, name, type, connection_string, host, port) FROM STDIN;

-- name: copy_in_binary
COPY platform.databases (id, project_id, name, type, connection_string, host, port) FROM STDIN (FORMAT binary);

-- name: copy_out
COPY (SELECT d.* FROM platform.databases d) TO STDOUT;

-- name: read
SELECT row_to_json(d)::text FROM platform.databases d;

-- name: read_safe
SELECT row_to_json(d)::text FROM platform.databases_safe d;

-- name: read_project
SELECT row_to_json(d)::text FROM platform.get_project_databases(%(project)s) d;

-- name: open
SELECT platform.decrypt_database_connection_string(%(id)s);

-- name: open_view
SELECT d.connection_string FROM platform.databases_with_connection_strings d WHERE d.id = %(id)s;

-- name: open_all
DECLARE lancio_opened CURSOR FOR
SELECT d.name, d.connection_string FROM platform.databases_with_connection_strings d WHERE d.host = %(host)s ORDER BY d.name;

-- name: open_sealed_by
SELECT d.id, platform.decrypt_database_connection_string(d.id)
FROM platform.databases d
WHERE d.host = %(host)s AND d.connection_string_encrypted IS NOT NULL
      AND substring(d.connection_string_encrypted FROM 2 FOR 4) = int4send(%(key_id)s::integer)
ORDER BY octet_length(d.connection_string_encrypted), d.id;

-- name: open_restored
SELECT platform.decrypt_database_connection_string(d.id) FROM platform.databases d WHERE d.host = %(host)s;

-- name: envelope
SELECT d.connection_string_encrypted FROM platform.databases d WHERE d.id = %(id)s;

-- name: delete
DELETE FROM platform.databases WHERE id = %(id)s RETURNING connection_string;

-- name: tamper
-- In a session whose key is another one, the trigger cannot tell.
UPDATE platform.databases SET connection_string_encrypted = set_byte(connection_string_encrypted, 40,
    get_byte(connection_string_encrypted, 40) # 1) WHERE id = %(id)s;

-- name: refused
UPDATE platform.databases SET connection_string = %(url)s, {column} = %(value)s WHERE id = %(id)s;

-- name: both
UPDATE platform.databases SET connection_string = %(url)s, connection_string_encrypted = %(envelope)s WHERE id = %(id)s;

-- name: wrong_type
UPDATE platform.databases SET connection_string = %(url)s, port = %(value)s::text::integer WHERE id = %(id)s;

-- name: literal
UPDATE platform.databases SET connection_string = {url} WHERE id = {id};

-- name: literal_refused
UPDATE platform.databases SET connection_string = {url}, port = 99999 WHERE id = {id};

-- name: literal_copy
-- PostgreSQL shows the first hundred characters of a line that fails.
COPY platform.databases (connection_string, project_id, name, type, host, port) FROM STDIN;

-- name: control_said
-- A name that is a part of what the statement does: others are dropped where statements are told apart by that.
DROP TABLE IF EXISTS {control};

-- name: control_failing
INSERT INTO lancio_control (id, form, shown) VALUES (-1, 'twice', %(text)s);

-- name: control_logged
SELECT 1 / 0 AS {control};

