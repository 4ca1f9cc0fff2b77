CREATE TABLE a_table_whose_name_is_so_long_that_it_fills_all_of_it_up_to_63 (
    id serial PRIMARY KEY,
    a_column_with_a_long_name_of_its_own integer UNIQUE,
    another_column_with_a_long_name_of_its_own integer CHECK (another_column_with_a_long_name_of_its_own > 0)
);
