CREATE TABLE item_log (item_id integer, what text, at timestamptz DEFAULT now());
