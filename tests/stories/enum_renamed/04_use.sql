UPDATE account SET sorted = 'new' WHERE sorted IN ('top', 'old');
