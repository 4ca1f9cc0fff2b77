ALTER TABLE login_request RENAME TO login_flow;
