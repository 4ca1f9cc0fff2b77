CREATE TYPE /* TEMPLATE: schema */job_state AS ENUM ('open', 'done');
