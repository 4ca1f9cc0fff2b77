ALTER TABLE login_request RENAME COLUMN request_id TO flow_id;
