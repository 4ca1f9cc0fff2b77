ALTER TABLE note ADD COLUMN deleted boolean DEFAULT false;
