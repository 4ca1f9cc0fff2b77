INSERT INTO archive.log (line) VALUES ('moved');
