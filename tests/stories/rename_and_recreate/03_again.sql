CREATE TABLE account (id bigint, owner text NOT NULL);
INSERT INTO account SELECT id, coalesce(owner, '') FROM account_old;
