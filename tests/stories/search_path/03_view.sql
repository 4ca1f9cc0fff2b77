CREATE VIEW things AS SELECT t.id, app.count_things() AS n FROM app.thing t;
