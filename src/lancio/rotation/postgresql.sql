-- name: who
SELECT pg_catalog.pg_is_in_recovery() AS replica, session_user::text AS login, current_user::text AS works_as,
       pg_catalog.pg_postmaster_start_time() AS started;

-- name: role
SELECT r.rolname, r.rolsuper, r.rolreplication, r.rolconnlimit,
       CASE WHEN r.rolvaliduntil <> 'infinity' THEN r.rolvaliduntil::text END AS valid_until,
       pg_catalog.shobj_description(r.oid, 'pg_authid') AS said
FROM pg_catalog.pg_roles r WHERE r.rolname = %s;

-- name: taken
SELECT r.rolname FROM pg_catalog.pg_roles r WHERE r.rolname = ANY (%s);

-- name: memberships
SELECT g.rolname AS role, bool_or(m.admin_option) AS admin
FROM pg_catalog.pg_auth_members m
     JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
     JOIN pg_catalog.pg_roles r ON r.oid = m.member
WHERE r.rolname = %s
GROUP BY g.rolname
ORDER BY g.rolname;

-- name: settings
SELECT d.datname AS database, s.setting
FROM pg_catalog.pg_db_role_setting c
     JOIN pg_catalog.pg_roles r ON r.oid = c.setrole
     LEFT JOIN pg_catalog.pg_database d ON d.oid = c.setdatabase
     CROSS JOIN LATERAL pg_catalog.unnest(c.setconfig) WITH ORDINALITY AS s (setting, place)
WHERE r.rolname = %s
ORDER BY d.datname NULLS FIRST, s.place;

-- name: sessions
SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE usename = %s AND pid <> pg_catalog.pg_backend_pid();
