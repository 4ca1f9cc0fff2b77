CREATE INDEX person_inbox ON person (inbox);
