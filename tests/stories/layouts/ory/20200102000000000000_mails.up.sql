CREATE TABLE mails (address text, user_id uuid REFERENCES users);
