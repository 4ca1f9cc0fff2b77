CREATE TABLE event_log (event_id integer);
