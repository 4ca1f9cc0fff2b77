-- depends: zoo.create cages
CREATE TABLE animals ();
