CREATE TABLE login_request (id integer PRIMARY KEY, request_id integer, old_note text);
