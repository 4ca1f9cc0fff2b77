-- Left by yoyo-migrations 9.0.0; recorded by scripts/make_histories.py.
CREATE TABLE public._yoyo_log (
    id character varying(36) NOT NULL,
    migration_hash character varying(64),
    migration_id character varying(255),
    operation character varying(10),
    username character varying(255),
    hostname character varying(255),
    comment character varying(255),
    created_at_utc timestamp without time zone
);
CREATE TABLE public._yoyo_migration (
    migration_hash character varying(64) NOT NULL,
    migration_id character varying(255),
    applied_at_utc timestamp without time zone
);
CREATE TABLE public._yoyo_version (
    version integer NOT NULL,
    installed_at_utc timestamp without time zone
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
CREATE TABLE public.yoyo_lock (
    locked integer DEFAULT 1 NOT NULL,
    ctime timestamp without time zone,
    pid integer NOT NULL
);
INSERT INTO public._yoyo_log VALUES ('fe37377a-e990-11f1-a747-02fc00000001', '991f16ce8ef1dbdcb796c1e55bdb3fb3dba3a91db38e384f2d0d89bd49b98f8b', '0001_notes', 'apply', 'root', 'localhost', NULL, '2026-11-26 12:00:37.480042');
INSERT INTO public._yoyo_log VALUES ('fe3f1d1e-e990-11f1-a747-02fc00000001', '3ddc018eecade1e086b0175e911c494b6488b2c8cfbe6ee20de8a1dd33db2d82', '0002_tags', 'apply', 'root', 'localhost', NULL, '2026-11-26 12:00:37.530903');
INSERT INTO public._yoyo_log VALUES ('fe438c96-e990-11f1-a747-02fc00000001', '7f920de5198e4b14c89c5dcdeab2010c0df9d576df1d924f685e8041fad7d54a', '0003_fill', 'apply', 'root', 'localhost', NULL, '2026-11-26 12:00:37.559954');
INSERT INTO public._yoyo_migration VALUES ('991f16ce8ef1dbdcb796c1e55bdb3fb3dba3a91db38e384f2d0d89bd49b98f8b', '0001_notes', '2026-11-26 12:00:37.494421');
INSERT INTO public._yoyo_migration VALUES ('3ddc018eecade1e086b0175e911c494b6488b2c8cfbe6ee20de8a1dd33db2d82', '0002_tags', '2026-11-26 12:00:37.538494');
INSERT INTO public._yoyo_migration VALUES ('7f920de5198e4b14c89c5dcdeab2010c0df9d576df1d924f685e8041fad7d54a', '0003_fill', '2026-11-26 12:00:37.561749');
INSERT INTO public._yoyo_version VALUES (2, '2026-11-26 12:00:37.433281');
ALTER TABLE ONLY public._yoyo_log
    ADD CONSTRAINT _yoyo_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public._yoyo_migration
    ADD CONSTRAINT _yoyo_migration_pkey PRIMARY KEY (migration_hash);
ALTER TABLE ONLY public._yoyo_version
    ADD CONSTRAINT _yoyo_version_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.notes
    ADD CONSTRAINT notes_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.yoyo_lock
    ADD CONSTRAINT yoyo_lock_pkey PRIMARY KEY (locked);
CREATE INDEX notes_title ON public.notes USING btree (title);
ALTER TABLE ONLY public.tags
    ADD CONSTRAINT tags_note_fkey FOREIGN KEY (note) REFERENCES public.notes(id);
