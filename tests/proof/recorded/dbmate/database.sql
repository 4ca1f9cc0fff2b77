-- Left by dbmate version 2.36.0; recorded by scripts/make_histories.py.
CREATE TABLE public.notes (
    id integer NOT NULL,
    title text NOT NULL,
    stars integer
);
CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);
CREATE TABLE public.tags (
    id integer NOT NULL,
    note integer
);
INSERT INTO public.schema_migrations VALUES ('20240101000000');
INSERT INTO public.schema_migrations VALUES ('20240102000000');
INSERT INTO public.schema_migrations VALUES ('20240103000000');
ALTER TABLE ONLY public.notes
    ADD CONSTRAINT notes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (id);
CREATE INDEX notes_title ON public.notes USING btree (title);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_note_fkey FOREIGN KEY (note) REFERENCES public.notes(id);
