CREATE UNIQUE INDEX daily_day ON daily (day);
