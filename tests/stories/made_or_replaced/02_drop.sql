DROP TRIGGER item_note ON item;
DROP FUNCTION size(text);
CREATE FUNCTION size(name text) RETURNS integer LANGUAGE sql AS 'SELECT 2';
