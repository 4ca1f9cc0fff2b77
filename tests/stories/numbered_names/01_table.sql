CREATE TABLE t (a integer CHECK (a > 0), b integer, c integer, CHECK (b > 0), CHECK (b < 10), CHECK (b < c), CHECK (1 < 2), UNIQUE (b, c), EXCLUDE USING btree (a WITH =));
