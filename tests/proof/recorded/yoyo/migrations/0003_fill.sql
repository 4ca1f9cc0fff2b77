-- depends: 0002_tags

UPDATE notes SET stars = 0 WHERE stars IS NULL;
