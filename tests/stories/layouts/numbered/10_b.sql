CREATE VIEW b AS SELECT v[1:2] AS v, w::text || x AS w, :{?owner} AS known, :{?other} AS unknown, :n AS n FROM a;
