-- +migrate Up
CREATE VIEW tags AS SELECT label FROM tag;
