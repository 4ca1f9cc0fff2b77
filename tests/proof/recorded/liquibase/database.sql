-- Left by Liquibase 4.28.0; recorded by scripts/make_histories.py.
CREATE TABLE public.databasechangelog (
    id character varying(255) NOT NULL,
    author character varying(255) NOT NULL,
    filename character varying(255) NOT NULL,
    dateexecuted timestamp without time zone NOT NULL,
    orderexecuted integer NOT NULL,
    exectype character varying(10) NOT NULL,
    md5sum character varying(35),
    description character varying(255),
    comments character varying(255),
    tag character varying(255),
    liquibase character varying(20),
    contexts character varying(255),
    labels character varying(255),
    deployment_id character varying(10)
);
CREATE TABLE public.databasechangeloglock (
    id integer NOT NULL,
    locked boolean NOT NULL,
    lockgranted timestamp without time zone,
    lockedby character varying(255)
);
CREATE TABLE public.notes (
    id integer NOT NULL,
    title text NOT NULL,
    stars integer
);
CREATE TABLE public.tags (
    id integer NOT NULL,
    note integer
);
INSERT INTO public.databasechangelog VALUES ('1.1', 'tester', '001_notes.sql', '2026-11-26 11:56:33.154141', 1, 'EXECUTED', '9:94596e42910d07c8d26cb59f20408bc0', 'sql', '', NULL, '4.28.0', NULL, NULL, '5694193128');
INSERT INTO public.databasechangelog VALUES ('2.1', 'tester', '002_tags.sql', '2026-11-26 11:56:33.162053', 2, 'EXECUTED', '9:070670fd511bcec96ecedc50a7370521', 'sql', '', NULL, '4.28.0', NULL, NULL, '5694193128');
INSERT INTO public.databasechangelog VALUES ('2.2', 'tester', '002_tags.sql', '2026-11-26 11:56:33.165214', 3, 'EXECUTED', '9:299e85b5efd47905a93e60fb86f5c479', 'sql', '', NULL, '4.28.0', NULL, NULL, '5694193128');
INSERT INTO public.databasechangelog VALUES ('3.1', 'tester', '003_fill.sql', '2026-11-26 11:56:33.16874', 4, 'EXECUTED', '9:f9b25aea5fabc7a0a0315f6d3b808a67', 'sql', '', NULL, '4.28.0', NULL, NULL, '5694193128');
INSERT INTO public.databasechangeloglock VALUES (1, false, NULL, NULL);
ALTER TABLE ONLY public.databasechangeloglock
    ADD CONSTRAINT databasechangeloglock_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.notes
    ADD CONSTRAINT notes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (id);
CREATE INDEX notes_title ON public.notes USING btree (title);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_note_fkey FOREIGN KEY (note) REFERENCES public.notes(id);
