CREATE SCHEMA app;
CREATE TABLE app.t (a int);
CREATE VIEW app.v AS SELECT a FROM app.t;
CREATE TYPE app.mood AS ENUM ('good');
CREATE FUNCTION app.f(int, text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE INDEX i ON app.t (a);
CREATE POLICY p ON app.t USING (true);
