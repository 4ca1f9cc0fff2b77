CREATE TABLE copied (LIKE source INCLUDING ALL, extra text);
