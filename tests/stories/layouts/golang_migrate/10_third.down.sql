DROP VIEW third;
