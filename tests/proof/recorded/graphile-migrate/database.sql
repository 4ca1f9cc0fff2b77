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
CREATE TABLE public.links (
    id integer NOT NULL,
    note integer
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
INSERT INTO graphile_migrate.migrations VALUES ('sha1:4aced46a147cde5961d74d3aa2dc5e66d555e7cf', NULL, '000001.sql', '2026-11-26 12:00:40.235644+00');
INSERT INTO graphile_migrate.migrations VALUES ('sha1:edc7196efa367238ba1b1bf5f4afdcf9e278e858', 'sha1:4aced46a147cde5961d74d3aa2dc5e66d555e7cf', '000002.sql', '2026-11-26 12:00:42.192247+00');
INSERT INTO graphile_migrate.migrations VALUES ('sha1:fc17d2b367aec8f8cab71af6a4ff4db229c94ad8', 'sha1:edc7196efa367238ba1b1bf5f4afdcf9e278e858', '000003.sql', '2026-11-26 12:00:43.665257+00');
INSERT INTO graphile_migrate.migrations VALUES ('sha1:c21d1c16e8897b32d23f858c01cf799830b3ac4f', 'sha1:fc17d2b367aec8f8cab71af6a4ff4db229c94ad8', '000004.sql', '2026-11-26 12:00:45.435322+00');
ALTER TABLE ONLY graphile_migrate.current
    ADD CONSTRAINT current_pkey PRIMARY KEY (filename);
ALTER TABLE ONLY graphile_migrate.migrations
    ADD CONSTRAINT migrations_pkey PRIMARY KEY (hash);
ALTER TABLE ONLY public.links
    ADD CONSTRAINT links_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.notes
    ADD CONSTRAINT notes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (id);
CREATE INDEX notes_title ON public.notes USING btree (title);
ALTER TABLE ONLY graphile_migrate.migrations
    ADD CONSTRAINT migrations_previous_hash_fkey FOREIGN KEY (previous_hash) REFERENCES graphile_migrate.migrations(hash);
ALTER TABLE ONLY public.links
    ADD CONSTRAINT links_note_fkey FOREIGN KEY (note) REFERENCES public.notes(id);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_note_fkey FOREIGN KEY (note) REFERENCES public.notes(id);
