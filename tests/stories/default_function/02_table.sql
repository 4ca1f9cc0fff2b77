CREATE TABLE coupon (code text DEFAULT next_code() PRIMARY KEY, note text);
