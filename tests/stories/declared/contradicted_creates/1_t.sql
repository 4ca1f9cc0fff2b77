-- lancio: creates table app.order
-- lancio: creates table app.orders
-- lancio: creates column app.order.id
-- lancio: creates function app.f(int)
-- lancio: creates index app.i
-- lancio: creates row app.order (id = 1)
-- lancio: creates row app.order (id = 2)
CREATE SCHEMA app;
CREATE TABLE app.order (id int);
INSERT INTO app.order (id) VALUES (1);
CREATE FUNCTION app.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE INDEX i ON app.order (id);
