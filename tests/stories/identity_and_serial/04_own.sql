CREATE SEQUENCE free_seq OWNED BY plain.big;
ALTER TABLE plain ALTER COLUMN big SET DEFAULT nextval('free_seq');
