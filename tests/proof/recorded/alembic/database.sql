-- Left by alembic 1.20.1; recorded by scripts/make_histories.py.
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
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
INSERT INTO public.alembic_version VALUES ('c02d96aa7e31');
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY public.notes
    ADD CONSTRAINT notes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (id);
CREATE INDEX notes_title ON public.notes USING btree (title);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_note_fkey FOREIGN KEY (note) REFERENCES public.notes(id);
