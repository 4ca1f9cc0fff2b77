CREATE TABLE event_2025 (id bigint, at date NOT NULL, note text);
