CREATE INDEX person_weary ON person (name) WHERE state IN ('calm', 'weary');
