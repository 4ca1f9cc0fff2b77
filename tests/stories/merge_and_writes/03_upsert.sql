INSERT INTO goal AS g (k, v) VALUES (1, 'x') ON CONFLICT (k) DO UPDATE SET v = excluded.v || g.v;
DELETE FROM feed USING goal WHERE goal.k = feed.k;
