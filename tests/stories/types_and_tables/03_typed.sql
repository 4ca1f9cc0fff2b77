CREATE TABLE points OF point3;
CREATE FUNCTION of_shape(s shape) RETURNS point3 LANGUAGE sql AS $$ SELECT (s).at $$;
