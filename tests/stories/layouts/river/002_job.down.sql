DROP TABLE /* TEMPLATE: schema */job;
