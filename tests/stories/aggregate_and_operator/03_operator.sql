CREATE OPERATOR @+@ (LEFTARG = integer, RIGHTARG = integer, FUNCTION = add_up);
