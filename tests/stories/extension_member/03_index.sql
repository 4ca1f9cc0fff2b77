CREATE INDEX login_shown ON login USING gin (shown gin_trgm_ops);
