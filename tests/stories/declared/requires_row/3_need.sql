-- lancio: requires row role_of (name = 'it''s', level = 2)
SELECT 1;
