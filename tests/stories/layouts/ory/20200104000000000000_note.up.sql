COMMENT ON INDEX mails_by_address IS 'made outside of a transaction';
