CREATE VIEW "All ""items""" AS SELECT "Id", "from", "Größe" FROM "Order Items";
