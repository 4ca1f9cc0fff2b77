DROP TYPE /* TEMPLATE: schema */job_state;
