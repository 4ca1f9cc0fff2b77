-- name: insert
INSERT INTO platform.audit_logs
    (organization_id, project_id, actor_type, actor_id, actor_email, action, target_type, target_id, before, after)
VALUES (%(organization)s, %(project)s, %(actor_type)s, %(actor_id)s, %(actor_email)s, %(action)s, %(target_type)s,
        %(target_id)s, %(before)s, %(after)s);
