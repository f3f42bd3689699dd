/**
 * Describes a database as SQL that a person can read in one sitting: `schema.sql`, "the schema as it stands". Written from
 * the catalogs and not by pg_dump, so that every PostgreSQL from 15 on gives the same text.
 */
import type { ClientBase } from 'pg';

interface NamedText {
  readonly name: string;
  readonly text: string;
}

/** Relations of the product: what no extension brought and is not PostgreSQL's own. */
const OWN_RELATION = `
  n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select 1 from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')`;
const OWN_ROUTINE = `
  n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and not exists (select 1 from pg_depend e where e.classid = 'pg_proc'::regclass and e.objid = p.oid and e.deptype = 'e')`;

/** Text of the whole schema, the same for the same schema. Tables by name; columns in their order. */
export async function describeSchema(client: ClientBase): Promise<string> {
  // Names are then written with their schema only where it is not "public".
  await client.query("set search_path to 'public'");
  const sections = [
    await types(client),
    await sequences(client),
    await tables(client),
    await listing(client, VIEWS),
    await listing(client, ROUTINES),
    await listing(client, TRIGGERS),
  ];
  const head = [
    '-- The schema as it stands after every migration. Written by "npm run schema"; do not edit.',
    '-- Columns, constraints and indexes are given as PostgreSQL prints them.',
  ].join('\n');
  return `${[head, ...sections.flat()].join('\n\n')}\n`;
}

/** A view's columns only: PostgreSQL 15 and 18 print the same query differently. */
const VIEWS = `
  select c.oid::regclass::text as name,
    '-- ' || case c.relkind when 'm' then 'materialized ' else '' end || 'view ' || c.oid::regclass::text || ' (' ||
    (select string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod), ', ' order by a.attnum)
      from pg_attribute a where a.attrelid = c.oid and a.attnum > 0) || '); its query is in the migration that made it' as text
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('v', 'm') and ${OWN_RELATION} order by c.oid::regclass::text collate "C"`;
const ROUTINES = `
  select p.oid::regprocedure::text as name, rtrim(pg_get_functiondef(p.oid), chr(10)) || ';' as text
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where p.prokind in ('f', 'p') and ${OWN_ROUTINE} order by p.oid::regprocedure::text collate "C"`;
const TRIGGERS = `
  select t.tgname as name, pg_get_triggerdef(t.oid, true) || ';' as text
  from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
  where not t.tgisinternal and t.tgparentid = 0 and ${OWN_RELATION}
  order by c.oid::regclass::text collate "C", t.tgname collate "C"`;

async function listing(client: ClientBase, query: string): Promise<string[]> {
  const { rows } = await client.query<NamedText>(query);
  return rows.map(({ text }) => text);
}

async function types(client: ClientBase): Promise<string[]> {
  return await listing(
    client,
    `select t.oid::regtype::text as name,
       case t.typtype
         when 'e' then 'create type ' || t.oid::regtype::text || ' as enum (' ||
           (select string_agg(quote_literal(enumlabel), ', ' order by enumsortorder) from pg_enum where enumtypid = t.oid) || ');'
         when 'd' then 'create domain ' || t.oid::regtype::text || ' as ' || format_type(t.typbasetype, t.typtypmod) ||
           case when t.typnotnull then ' not null' else '' end || coalesce(' default ' || t.typdefault, '') ||
           coalesce((select string_agg(' ' || pg_get_constraintdef(k.oid), '' order by k.conname collate "C")
             from pg_constraint k where k.contypid = t.oid and k.contype = 'c'), '') || ';'
       end as text
     from pg_type t join pg_namespace n on n.oid = t.typnamespace
     where t.typtype in ('e', 'd') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
       and not exists (select 1 from pg_depend e where e.classid = 'pg_type'::regclass and e.objid = t.oid and e.deptype = 'e')
     order by t.oid::regtype::text collate "C"`,
  );
}

/** Sequences that no column owns. */
async function sequences(client: ClientBase): Promise<string[]> {
  return await listing(
    client,
    `select c.oid::regclass::text as name, 'create sequence ' || c.oid::regclass::text || ' as ' || format_type(s.seqtypid, null) ||
       ' increment ' || s.seqincrement || ' start ' || s.seqstart || ';' as text
     from pg_class c join pg_sequence s on s.seqrelid = c.oid join pg_namespace n on n.oid = c.relnamespace
     where not exists (select 1 from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype in ('a', 'i'))
       and ${OWN_RELATION}
     order by c.oid::regclass::text collate "C"`,
  );
}

async function tables(client: ClientBase): Promise<string[]> {
  const { rows } = await client.query<{
    oid: number;
    name: string;
    partition_of: string | null;
    partition_key: string | null;
  }>(
    `select c.oid, c.oid::regclass::text as name,
       case when c.relispartition then 'partition of ' || i.inhparent::regclass::text || ' ' || pg_get_expr(c.relpartbound, c.oid) end
         as partition_of,
       pg_get_partkeydef(c.oid) as partition_key
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
       left join pg_inherits i on i.inhrelid = c.oid and c.relispartition
     where c.relkind in ('r', 'p') and ${OWN_RELATION}
     order by c.oid::regclass::text collate "C"`,
  );
  const texts: string[] = [];
  for (const table of rows) {
    const comments = await tableComments(client, table.oid);
    const indexes = await tableIndexes(client, table.oid);
    const partitioned = table.partition_key === null ? '' : ` partition by ${table.partition_key}`;
    if (table.partition_of !== null) {
      texts.push(
        [`create table ${table.name} ${table.partition_of}${partitioned};`, ...indexes, ...comments].join(
          '\n',
        ),
      );
      continue;
    }
    const lines = [
      ...(await tableColumns(client, table.oid)),
      ...(await tableConstraints(client, table.oid)),
    ];
    const body = lines.map((line) => `  ${line}`).join(',\n');
    texts.push(
      [`create table ${table.name} (\n${body}\n)${partitioned};`, ...indexes, ...comments].join('\n'),
    );
  }
  return texts;
}

async function tableColumns(client: ClientBase, table: number): Promise<string[]> {
  const { rows } = await client.query<NamedText>(
    `select a.attname as name,
       quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) ||
       case when a.attcollation <> 0 and a.attcollation <> t.typcollation then ' collate ' || a.attcollation::regcollation::text else '' end ||
       case a.attidentity when 'a' then ' generated always as identity' when 'd' then ' generated by default as identity' else '' end ||
       case when a.attgenerated <> '' then ' generated always as (' || pg_get_expr(d.adbin, d.adrelid) || ') ' ||
           case a.attgenerated when 's' then 'stored' else 'virtual' end
         else coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') end ||
       case when a.attnotnull then ' not null' else '' end as text
     from pg_attribute a join pg_type t on t.oid = a.atttypid
       left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
     order by a.attnum`,
    [table],
  );
  return rows.map(({ text }) => text);
}

/** Without "not null", which newer versions count as constraints and the columns already say. */
async function tableConstraints(client: ClientBase, table: number): Promise<string[]> {
  const { rows } = await client.query<NamedText>(
    `select conname as name, 'constraint ' || quote_ident(conname) || ' ' || pg_get_constraintdef(oid, true) as text
     from pg_constraint where conrelid = $1 and contype in ('p', 'u', 'c', 'f', 'x')
     order by array_position(array['p', 'u', 'x', 'c', 'f'], contype::text), conname collate "C"`,
    [table],
  );
  return rows.map(({ text }) => text);
}

/** Indexes that no constraint made; a partition's follow from its parent's. */
async function tableIndexes(client: ClientBase, table: number): Promise<string[]> {
  const { rows } = await client.query<NamedText>(
    `select c.relname as name, pg_get_indexdef(i.indexrelid) || ';' as text
     from pg_index i join pg_class c on c.oid = i.indexrelid
     where i.indrelid = $1 and not c.relispartition
       and not exists (select 1 from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
     order by c.relname collate "C"`,
    [table],
  );
  return rows.map(({ text }) => text);
}

async function tableComments(client: ClientBase, table: number): Promise<string[]> {
  const { rows } = await client.query<NamedText>(
    `select coalesce(a.attname, '') as name,
       'comment on ' || case when d.objsubid = 0 then 'table ' || d.objoid::regclass::text
         else 'column ' || d.objoid::regclass::text || '.' || quote_ident(a.attname) end ||
       ' is ' || quote_literal(d.description) || ';' as text
     from pg_description d left join pg_attribute a on a.attrelid = d.objoid and a.attnum = d.objsubid and d.objsubid > 0
     where d.classoid = 'pg_class'::regclass and d.objoid = $1
     order by d.objsubid`,
    [table],
  );
  return rows.map(({ text }) => text);
}
