CREATE TABLE /* TEMPLATE: schema */job (
    id bigserial PRIMARY KEY,
    state /* TEMPLATE: schema */job_state NOT NULL DEFAULT 'open'
);
