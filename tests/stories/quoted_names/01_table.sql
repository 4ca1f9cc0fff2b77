CREATE TABLE "Order Items" ("Id" serial PRIMARY KEY, "from" text, "Größe" integer CHECK ("Größe" > 0));
