ALTER TABLE account RENAME TO account_old;
