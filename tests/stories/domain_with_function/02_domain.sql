CREATE DOMAIN postcode AS text CHECK (is_postcode(VALUE));
