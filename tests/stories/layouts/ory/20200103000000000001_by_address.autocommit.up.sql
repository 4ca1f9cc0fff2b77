CREATE INDEX CONCURRENTLY mails_by_address ON mails (address);
