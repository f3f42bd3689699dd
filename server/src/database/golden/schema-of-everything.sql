-- The schema as it stands after every migration. Written by "npm run schema"; do not edit.
-- Columns, constraints and indexes are given as PostgreSQL prints them.

create type mode as enum ('assess', 'manage');

create domain percent as integer not null CHECK (((VALUE >= 0) AND (VALUE <= 100)));

create sequence ticket as bigint increment 1 start 5;

create table "Asset" (
  id integer generated always as identity not null,
  name text default 'x'::text not null,
  mode mode,
  score percent,
  doubled integer generated always as ((length(name) * 2)) stored,
  folded text collate "C",
  constraint "Asset_pkey" PRIMARY KEY (id),
  constraint "Asset_name_key" UNIQUE (name),
  constraint short CHECK (length(name) < 9)
);
CREATE INDEX asset_mode ON public."Asset" USING btree (mode) WHERE (mode IS NOT NULL);
comment on table "Asset" is 'one host';
comment on column "Asset".name is 'it''s name';

create table change (
  at date not null,
  asset_id integer,
  constraint change_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES "Asset"(id) ON DELETE CASCADE
) partition by RANGE (at);
CREATE INDEX change_at ON ONLY public.change USING btree (at);

create table change_2026 partition of change FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

-- view named (name text); its query is in the migration that made it

CREATE OR REPLACE FUNCTION public.touch()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$begin return new; end$function$;

CREATE TRIGGER touched BEFORE INSERT ON change FOR EACH ROW EXECUTE FUNCTION touch();
