CREATE TABLE ref (
    x integer REFERENCES a_table_whose_name_is_so_long_that_it_fills_all_of_it_up_to_63,
    y integer REFERENCES a_table_whose_name_is_so_long_that_it_fills_all_of_it_up_to_63 (id)
);
