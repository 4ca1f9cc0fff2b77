ALTER TABLE {{ .Namespace }}.users ADD COLUMN seen timestamptz;
CREATE TABLE {{ .Namespace }}.notes (body text);
INSERT INTO {{ .Namespace }}.notes VALUES ('{' || '{ .Name }}');
