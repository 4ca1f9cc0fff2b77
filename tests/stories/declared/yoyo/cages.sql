-- depends: zoo.create
CREATE TABLE cages ();
