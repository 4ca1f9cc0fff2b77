-- Left by graphile-migrate 1.4.1; recorded by scripts/make_histories.py.
CREATE SCHEMA graphile_migrate;
CREATE TABLE graphile_migrate.current (
    filename text DEFAULT 'current.sql'::text NOT NULL,
    content text NOT NULL,
    date timestamp with time zone DEFAULT now() NOT NULL
);
CREATE TABLE graphile_migrate.migrations (
    hash text NOT NULL,
    previous_hash text,
    filename text NOT NULL,
    date timestamp with time zone DEFAULT now() NOT NULL
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
INSERT INTO graphile_migrate.migrations VALUES ('sha1:4aced46a147cde5961d74d3aa2dc5e66d555e7cf', NULL, '000001.sql', '2026-11-26 12:03:56.868679+00');
INSERT INTO graphile_migrate.migrations VALUES ('sha1:edc7196efa367238ba1b1bf5f4afdcf9e278e858', 'sha1:4aced46a147cde5961d74d3aa2dc5e66d555e7cf', '000002.sql', '2026-11-26 12:03:57.670236+00');
INSERT INTO graphile_migrate.migrations VALUES ('sha1:fc17d2b367aec8f8cab71af6a4ff4db229c94ad8', 'sha1:edc7196efa367238ba1b1bf5f4afdcf9e278e858', '000003.sql', '2026-11-26 12:03:58.644722+00');
ALTER TABLE ONLY graphile_migrate.current
    ADD CONSTRAINT current_pkey PRIMARY KEY (filename);
ALTER TABLE ONLY graphile_migrate.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (hash);
ALTER TABLE ONLY public.notes
    ADD CONSTRAINT notes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (id);
CREATE INDEX notes_title ON public.notes USING btree (title);
ALTER TABLE ONLY graphile_migrate.migrations
    ADD CONSTRAINT migrations_previous_hash_fkey FOREIGN KEY (previous_hash) REFERENCES graphile_migrate.migrations(hash);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_note_fkey FOREIGN KEY (note) REFERENCES public.notes(id);
