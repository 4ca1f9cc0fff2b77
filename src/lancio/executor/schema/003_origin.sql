-- Where each row of lancio.step comes from: it ran by Lancio, or it was adopted and from what proof.

ALTER TABLE lancio.step ADD COLUMN origin text NOT NULL DEFAULT 'lancio';
COMMENT ON COLUMN lancio.step.origin IS 'Who says that it ran: lancio itself, facts (the catalog shows it), the tool whose history table had it, order or named (nothing shows it)';
