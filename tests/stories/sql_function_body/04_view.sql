CREATE VIEW state_of_things AS SELECT in_debt() AS debt;
