CREATE TABLE a (v int[], w text DEFAULT ':owner', x text DEFAULT :'owner');
