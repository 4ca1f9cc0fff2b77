CREATE TABLE sale (day date, amount numeric);
