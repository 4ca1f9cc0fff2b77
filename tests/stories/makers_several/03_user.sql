COMMENT ON FUNCTION stamp() IS 'who';
ALTER TABLE audit ADD COLUMN tint colour;
