CREATE VIEW tired AS SELECT p.name FROM person AS p WHERE 'weary' = p.state;
