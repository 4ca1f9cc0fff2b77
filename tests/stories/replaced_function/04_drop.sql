DROP FUNCTION greeting(text, boolean);
