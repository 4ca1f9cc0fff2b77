CREATE TABLE event (id bigint, at date NOT NULL, note text) PARTITION BY RANGE (at);
