DROP INDEX CONCURRENTLY mails_by_address;
