-- The first schema. Room by room; each table is written by one store.ts only (tidy.test.ts holds the map).

-- auth ------------------------------------------------------------------------------------------------------------
-- people, sessions and credentials are better-auth's tables (names as the library has them, quoted camelCase columns)
create table "user" (
  "id" text primary key,
  "name" text not null,
  "email" text not null unique,
  "emailVerified" boolean not null,
  "image" text,
  "createdAt" timestamptz not null default current_timestamp,
  "updatedAt" timestamptz not null default current_timestamp,
  "role" text,
  "banned" boolean,
  "banReason" text,
  "banExpires" timestamptz
);
create table "session" (
  "id" text primary key,
  "expiresAt" timestamptz not null,
  "token" text not null unique,
  "createdAt" timestamptz not null default current_timestamp,
  "updatedAt" timestamptz not null,
  "ipAddress" text,
  "userAgent" text,
  "userId" text not null references "user" ("id") on delete cascade,
  "impersonatedBy" text
);
create index session_user_id on "session" ("userId");
create table "account" (
  "id" text primary key,
  "accountId" text not null,
  "providerId" text not null,
  "userId" text not null references "user" ("id") on delete cascade,
  "accessToken" text,
  "refreshToken" text,
  "idToken" text,
  "accessTokenExpiresAt" timestamptz,
  "refreshTokenExpiresAt" timestamptz,
  "scope" text,
  "password" text,
  "createdAt" timestamptz not null default current_timestamp,
  "updatedAt" timestamptz not null
);
create index account_user on "account" ("userId");
create table "verification" (
  "id" text primary key,
  "identifier" text not null,
  "value" text not null,
  "expiresAt" timestamptz not null,
  "createdAt" timestamptz not null default current_timestamp,
  "updatedAt" timestamptz not null default current_timestamp
);
create index verification_identifier on "verification" ("identifier");

-- bearer tokens of our own: for tools (`fxt_`) and for enrolment (`fxe_`); only the hash of the secret is kept
create table token (
  id uuid primary key,
  kind text not null check (kind in ('tool', 'enrolment')),
  name text not null,
  secret_sha256 text not null unique,
  permissions text[] not null default '{}',
  -- enrolment: how many hosts may still enrol; null for tools
  uses_left integer,
  -- enrolment: tags that an asset gets by enrolling with it
  tags text[] not null default '{}',
  created_by text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  last_used_at timestamptz
);

-- the server's own keys: Ed25519 for orders and for bundles of feeds, a random secret for sessions of agents
create table server_key (
  id text primary key,
  purpose text not null check (purpose in ('order', 'session', 'bundle')),
  public_key text,
  private_key text not null,
  created_at timestamptz not null,
  retired_at timestamptz
);

-- audit -----------------------------------------------------------------------------------------------------------
create table audit_event (
  sequence bigint primary key,
  at timestamptz not null,
  actor_kind text not null check (actor_kind in ('person', 'token', 'agent', 'system')),
  actor text not null,
  event text not null,
  subject_kind text not null,
  subject text not null,
  reason text,
  before jsonb,
  after jsonb,
  previous_hash text not null,
  hash text not null unique
);
create index audit_event_subject on audit_event (subject_kind, subject, sequence);
create index audit_event_event on audit_event (event, sequence);

-- knowledge -------------------------------------------------------------------------------------------------------
create table feed (
  id text primary key,
  published_at timestamptz,
  last_attempt_at timestamptz,
  last_success_at timestamptz,
  last_error_code text,
  last_error text,
  source_name text,
  source_digest text,
  records integer not null default 0,
  rejected integer not null default 0
);
create table feed_record (
  feed text not null references feed (id),
  record text not null,
  digest text not null,
  raw text not null,
  imported_at timestamptz not null,
  primary key (feed, record)
);
create table feed_rejection (
  feed text not null references feed (id),
  ordinal integer not null,
  position text not null,
  code text not null,
  message text not null,
  excerpt text not null,
  -- the record that it is about, where that is known: it is kept until the record is read again
  record text,
  at timestamptz not null,
  primary key (feed, ordinal)
);
-- facts: one row per fact as its record said it; replaced together with the record
create table advisory (
  feed text not null,
  record text not null,
  id text not null,
  title text not null,
  published_at timestamptz,
  withdrawn_at timestamptz,
  vulnerabilities text[] not null,
  url text,
  foreign key (feed, record) references feed_record (feed, record) on delete cascade
);
create index advisory_record on advisory (feed, record);
create index advisory_id on advisory (id);
create index advisory_vulnerabilities on advisory using gin (vulnerabilities);
create table vulnerability (
  feed text not null,
  record text not null,
  id text not null,
  aliases text[] not null,
  title text,
  description text,
  published_at timestamptz,
  withdrawn_at timestamptz,
  foreign key (feed, record) references feed_record (feed, record) on delete cascade
);
create index vulnerability_record on vulnerability (feed, record);
create index vulnerability_id on vulnerability (id);
create index vulnerability_aliases on vulnerability using gin (aliases);
create table statement (
  feed text not null,
  record text not null,
  vulnerability text not null,
  ecosystem text not null,
  release text not null,
  package text not null,
  package_kind text not null check (package_kind in ('source', 'binary')),
  module text,
  channel text,
  status text not null check (status in ('fixed', 'affected', 'not_affected', 'undetermined')),
  introduced_version text,
  fixed_version text,
  -- Windows: updates any of which brings the fix
  updates text[] not null default '{}',
  fix_state text not null,
  note text,
  advisory text,
  stated_at timestamptz,
  foreign key (feed, record) references feed_record (feed, record) on delete cascade
);
create index statement_record on statement (feed, record);
create index statement_product on statement (ecosystem, release, package);
create index statement_vulnerability on statement (vulnerability);
-- updates of vendors whose updates are no package versions: KBs of Microsoft, one row for each product
create table vendor_update (
  feed text not null,
  record text not null,
  id text not null,
  product text not null,
  title text,
  supersedes text[] not null,
  fixed_build text,
  restart text check (restart in ('required', 'maybe', 'not_required')),
  type text,
  published_at timestamptz,
  url text,
  known_issues boolean not null,
  foreign key (feed, record) references feed_record (feed, record) on delete cascade
);
create index vendor_update_record on vendor_update (feed, record);
create index vendor_update_product on vendor_update (product, id);
create index vendor_update_id on vendor_update (id);
create table cvss (
  feed text not null,
  record text not null,
  vulnerability text not null,
  scorer text not null,
  version text not null,
  vector text not null,
  base_score real not null,
  foreign key (feed, record) references feed_record (feed, record) on delete cascade
);
create index cvss_record on cvss (feed, record);
create index cvss_vulnerability on cvss (vulnerability);
create table threat (
  feed text not null,
  record text not null,
  vulnerability text not null,
  threat text not null,
  probability real,
  percentile real,
  ransomware boolean,
  -- { exploitation, automatable, technicalImpact } of SSVC
  ssvc jsonb,
  asserted_on date not null,
  due_on date,
  title text,
  reference text,
  foreign key (feed, record) references feed_record (feed, record) on delete cascade
);
create index threat_record on threat (feed, record);
create index threat_vulnerability on threat (vulnerability);

-- software, once for the whole fleet, and what each is vulnerable to
create table software (
  id integer generated always as identity primary key,
  ecosystem text not null,
  release text not null,
  name text not null,
  version text not null,
  arch text not null,
  source text not null,
  source_version text not null,
  -- who built it: '' for the distribution, else `third_party` or `unknown`, and the vendor where one is named
  origin text not null default '' check (origin in ('', 'third_party', 'unknown')),
  vendor text not null default '',
  -- RPM module stream `name:stream`, or ''
  module text not null default '',
  -- Windows: installed updates of this product, separated by spaces
  updates text not null default '',
  -- what follows is worked out from the above when the software is first seen (core/src/match)
  -- the package that a patch of it is named by
  package text not null,
  -- where statements about its source are found
  statement_source text not null,
  -- a kernel that can boot
  kernel boolean not null,
  first_seen_at timestamptz not null
);
-- a host can have more updates than an index row holds
create unique index software_identity on software
  (ecosystem, release, name, version, arch, source, source_version, origin, vendor, module, md5(updates));
create index software_source on software (ecosystem, release, statement_source);
create index software_name on software (ecosystem, release, name);
create table software_verdict (
  software_id integer not null references software (id),
  vulnerability text not null,
  verdict text not null check (verdict in ('vulnerable', 'undetermined')),
  fix_state text not null,
  fixed_version text,
  evidence jsonb not null,
  -- when this was first known here, for first-seen times
  since timestamptz not null,
  primary key (software_id, vulnerability)
);
create index software_verdict_vulnerability on software_verdict (vulnerability);

-- asset -----------------------------------------------------------------------------------------------------------
create table asset (
  id integer generated always as identity primary key,
  uid uuid not null unique,
  hostname text not null,
  mode text not null check (mode in ('assess', 'manage')),
  os text not null,
  os_release text not null,
  arch text not null,
  public_key text not null unique,
  agent_version text not null,
  enrolled_at timestamptz not null,
  enrolled_by text not null,
  retired_at timestamptz,
  -- set by a person, before any rule; null: by the rules of criticality_rule, else 3
  criticality_set smallint check (criticality_set between 1 and 5),
  -- attributes that people give it, by name: { role: 'web' }
  attributes jsonb not null default '{}',
  -- what is installed (software ids) and, in parallel, since when (seconds since 2020-01-01 UTC)
  software integer[] not null default '{}',
  since integer[] not null default '{}',
  -- digests of the sections held; null until the first inventory
  digests jsonb,
  inventory_at timestamptz,
  host jsonb,
  candidates jsonb not null default '[]',
  residue jsonb not null default '[]',
  -- [{ code, message }]: what the agent cannot read just now, so that the inventory may be out of date
  problems jsonb not null default '[]'
);
create index asset_software on asset using gin (software);
-- When each was heard last: nearly all that is ever written of an asset, and so in rows of its own. In the wide row above each
-- check-in would copy two kilobytes, and enter the asset anew for every software in the index. No row: never heard.
create table asset_contact (
  asset_id integer primary key references asset (id),
  last_seen_at timestamptz not null,
  -- last answer that we told the agent to come back after
  next_check_in_seconds real not null default 60
) with (fillfactor = 60);
create index asset_contact_last_seen on asset_contact (last_seen_at);
create table change_log (
  xid xid8 not null default pg_current_xact_id(),
  sequence bigint generated always as identity,
  asset_id integer not null references asset (id),
  added integer[] not null,
  removed integer[] not null,
  at timestamptz not null,
  primary key (xid, sequence)
);
create index change_log_asset on change_log (asset_id, at);
-- exposures that have ended; open ones follow from asset.software and asset.residue
create table exposure_history (
  id bigint generated always as identity primary key,
  asset_id integer not null references asset (id),
  software_id integer not null references software (id),
  vulnerability text not null,
  opened_at timestamptz not null,
  closed_at timestamptz not null,
  -- upgraded | removed | no_longer_vulnerable (knowledge) | withdrawn ; with the versions and the deployment's task if one did it
  evidence jsonb not null
);
create index exposure_history_asset on exposure_history (asset_id, closed_at);
create index exposure_history_vulnerability on exposure_history (vulnerability);

-- what of an asset's software counts as exposed beyond, or short of, what is installed (written by the finding room)
create table asset_exposure (
  asset_id integer primary key references asset (id),
  -- installed kernels that do not run: software ids that open no finding
  inert integer[] not null,
  -- the newest installed kernel when another one runs: what a reboot would start
  next_kernel integer references software (id),
  -- replaced software whose code is still there (parallel arrays): the version it came from, since when, `process` or `file`
  stale_software integer[] not null,
  stale_since integer[] not null,
  stale_kind text[] not null,
  -- parallel sentence: which process or file
  stale_reason text[] not null,
  -- [{ subject, reason, what_to_do }]: what could not be judged on this asset
  undetermined jsonb not null,
  -- mitigations in force, `ID@DIGEST`: the digest names the edition
  mitigations text[] not null default '{}',
  -- findings that are older than the software that carries them now, which took the place of software with the same
  -- vulnerability: `VULNERABILITY<tab>PACKAGE` to seconds since 2020-01-01; the hundred oldest at most
  first_seen jsonb not null default '{}'
);

create table tag (
  id uuid primary key,
  name text not null unique check (name ~ '^[a-z0-9][a-z0-9._/-]{0,62}$'),
  description text not null default '',
  -- the tag that this one is nested in: who is in this one is in that one too
  parent text references tag (name) on update cascade,
  kind text not null check (kind in ('list', 'rule', 'ranges')),
  -- a query over assets
  rule text check ((rule is not null) = (kind = 'rule')),
  -- networks and ranges of addresses
  ranges text[] check ((ranges is not null) = (kind = 'ranges')),
  -- ids of assets, as a serialised roaring bitmap in its portable format. Of a list its definition; of the others who was in
  -- when that was last written down: at boot nobody has to be judged anew to see who has come and gone since
  members bytea not null,
  members_at timestamptz not null,
  created_by text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

-- criticality: the first rule that holds gives it
create table criticality_rule (
  id uuid primary key,
  name text not null unique,
  position integer not null unique deferrable initially deferred,
  -- a query over assets
  query text not null,
  criticality smallint not null check (criticality between 1 and 5),
  created_by text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

-- sla: by when findings are due; the first rule that fits counts
create table sla_rule (
  id uuid primary key,
  name text not null unique,
  position integer not null unique deferrable initially deferred,
  -- SlaRule of core/src/finding/sla.ts without its name
  definition jsonb not null,
  created_by text not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

-- acceptance: risk that somebody takes upon them, for a time
create table risk_acceptance (
  id uuid primary key,
  -- a query over findings: what it covers, now and as findings come and go
  scope text not null,
  reason text not null,
  owner text not null,
  created_by text not null,
  created_at timestamptz not null,
  starts_at timestamptz not null,
  expires_at timestamptz not null check (expires_at > starts_at),
  -- said ahead of its end, and said at its end; both once
  warned_at timestamptz,
  expired_at timestamptz,
  revoked_at timestamptz,
  revoked_by text,
  revoked_reason text
);
create index risk_acceptance_running on risk_acceptance (expires_at) where expired_at is null and revoked_at is null;

-- report: prioritisation reports
create table report (
  id uuid primary key,
  name text not null,
  description text not null default '',
  -- finding | asset | vulnerability | patch
  subject text not null check (subject in ('finding', 'asset', 'vulnerability', 'patch')),
  query text not null,
  -- [{ by, descending }]
  sort jsonb not null,
  columns text[] not null,
  -- as audit events name who acts: a person and a token may bear one name
  owner_kind text not null check (owner_kind in ('person', 'token', 'system')),
  owner text not null,
  -- others see it too; only its owner and administrators change it
  shared boolean not null,
  -- raised with every change: who changes what another has just changed is told
  version integer not null default 1,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  updated_by text not null,
  -- since when the query is as it is: counts from before are those of an earlier one
  query_since timestamptz not null,
  archived_at timestamptz
);
create index report_owner on report (owner_kind, owner) where archived_at is null;
-- what a report came to, once an hour
create table report_count (
  report_id uuid not null references report (id) on delete cascade,
  at timestamptz not null,
  items integer not null,
  assets integer not null,
  -- sum of the risk of the assets in it; null where it is not about assets
  risk real,
  primary key (report_id, at)
);

-- posture: what the read models of all servers follow. Written by triggers, in the transaction of the change, so that no way
-- to change something can forget it. A row says what to read again, not what it has become.
create table fleet_change (
  xid xid8 not null default pg_current_xact_id(),
  sequence bigint generated always as identity,
  kind text not null check (kind in ('asset', 'software', 'vulnerability', 'tag', 'criticality', 'sla', 'acceptance')),
  -- assets or software; null: all
  ids integer[],
  -- vulnerabilities; null: all
  keys text[],
  -- by the clock of the database, for clearing away
  at timestamptz not null default clock_timestamp(),
  primary key (xid, sequence)
);
create index fleet_change_at on fleet_change (at);

create function note_fleet_change(kind text, ids integer[], keys text[]) returns void language sql as $$
  insert into fleet_change (kind, ids, keys) values (kind, ids, keys);
  select pg_notify('fleet_change', '');
$$;

create function asset_inserted() returns trigger language plpgsql as $$
begin
  perform note_fleet_change('asset', (select array_agg(id) from news), null);
  return null;
end $$;
create trigger asset_inserted after insert on asset
  referencing new table as news for each statement execute function asset_inserted();

-- Servers remember of which agents they hold what (server/src/asset/known-agents.ts), and forget it when they hear their ids
-- here; at most 700 in one message, which holds 8,000 bytes.
create function note_agents_changed(ids integer[]) returns void language sql as $$
  select pg_notify('agents_changed', string_agg(id::text, ',')) from unnest(ids) with ordinality as x (id, n) group by (n - 1) / 700;
$$;

create function asset_updated() returns trigger language plpgsql as $$
declare changed integer[];
begin
  select array_agg(n.id) into changed from news n join olds o on o.id = n.id
  where (n.inventory_at, n.digests, n.retired_at, n.criticality_set, n.attributes, n.mode, n.hostname, n.agent_version, n.problems,
      n.os, n.os_release, n.arch)
    is distinct from
    (o.inventory_at, o.digests, o.retired_at, o.criticality_set, o.attributes, o.mode, o.hostname, o.agent_version, o.problems,
      o.os, o.os_release, o.arch);
  if changed is not null then
    perform note_fleet_change('asset', changed, null);
    perform note_agents_changed(changed);
  end if;
  return null;
end $$;
create trigger asset_updated after update on asset
  referencing new table as news old table as olds for each statement execute function asset_updated();

create function asset_detail_written() returns trigger language plpgsql as $$
declare changed integer[];
begin
  select array_agg(distinct asset_id) into changed from news;
  if changed is not null then perform note_fleet_change('asset', changed, null); end if;
  return null;
end $$;
create trigger asset_exposure_inserted after insert on asset_exposure
  referencing new table as news for each statement execute function asset_detail_written();
create trigger asset_exposure_updated after update on asset_exposure
  referencing new table as news for each statement execute function asset_detail_written();
create trigger exposure_history_inserted after insert on exposure_history
  referencing new table as news for each statement execute function asset_detail_written();

create function software_written() returns trigger language plpgsql as $$
declare changed integer[];
begin
  if tg_table_name = 'software' then select array_agg(id) into changed from news;
  else select array_agg(distinct software_id) into changed from news;
  end if;
  if changed is not null then perform note_fleet_change('software', changed, null); end if;
  return null;
end $$;
create trigger software_inserted after insert on software
  referencing new table as news for each statement execute function software_written();
create trigger software_verdict_inserted after insert on software_verdict
  referencing new table as news for each statement execute function software_written();
create trigger software_verdict_updated after update on software_verdict
  referencing new table as news for each statement execute function software_written();
create trigger software_verdict_deleted after delete on software_verdict
  referencing old table as news for each statement execute function software_written();

-- Few rows, which are all read again. The argument is the kind.
create function rules_written() returns trigger language plpgsql as $$
begin
  perform note_fleet_change(tg_argv[0], null, null);
  return null;
end $$;
create trigger tag_inserted after insert or delete on tag for each statement execute function rules_written('tag');
-- Not what is only written down of a rule's members, which every read model knows by itself.
create function tag_updated() returns trigger language plpgsql as $$
begin
  if exists (
    select from news n join olds o on o.id = n.id
    where (n.name, n.description, n.parent, n.kind, n.rule, n.ranges) is distinct from (o.name, o.description, o.parent, o.kind, o.rule, o.ranges)
      or (n.kind = 'list' and n.members is distinct from o.members)
  ) then perform note_fleet_change('tag', null, null); end if;
  return null;
end $$;
create trigger tag_updated after update on tag
  referencing new table as news old table as olds for each statement execute function tag_updated();
create trigger criticality_rule_written after insert or update or delete on criticality_rule
  for each statement execute function rules_written('criticality');
create trigger sla_rule_written after insert or update or delete on sla_rule
  for each statement execute function rules_written('sla');
create trigger risk_acceptance_written after insert or update or delete on risk_acceptance
  for each statement execute function rules_written('acceptance');

-- patch: a source package at a version, known from a fix or from a repository of some asset ------------------------
create table patch (
  -- `debian:12/openssl@3.0.22-1~deb12u2`
  id text primary key,
  ecosystem text not null,
  release text not null,
  package text not null,
  version text not null,
  -- first named by a fix or first offered by a repository
  known_since timestamptz not null,
  offered_since timestamptz
);
create index patch_product on patch (ecosystem, release, package);

-- patch job, deployment, task -------------------------------------------------------------------------------------
create table patch_job (
  id uuid primary key,
  name text not null,
  definition jsonb not null,
  created_by text not null,
  created_at timestamptz not null,
  archived_at timestamptz
);
-- one row a run of a scheduled job: the next one ahead of time, so that it is taken up once, whatever the number of servers
create table job_run (
  job_id uuid not null references patch_job (id),
  due_at timestamptz not null,
  taken_at timestamptz,
  deployment_id uuid,
  -- { code, message, what_to_do }: why nothing was started
  outcome jsonb,
  primary key (job_id, due_at)
);
create index job_run_due on job_run (due_at) where taken_at is null;
-- times in which nothing is done, as an iCalendar says
create table calendar (
  id uuid primary key,
  name text not null unique,
  description text not null default '',
  -- true: heeded by every job; false: by those that name it
  everywhere boolean not null,
  -- for events that name no zone of their own
  zone text not null,
  source text not null,
  created_by text not null,
  created_at timestamptz not null,
  changed_at timestamptz not null
);
-- patches that nothing deploys, until somebody lifts it
create table patch_denial (
  id uuid primary key,
  -- as a patch id, with * for any part: `debian:12/openssl@3.0.22-1~deb12u2`, `*/postgresql-*@*`
  pattern text not null,
  reason text not null,
  created_by text not null,
  created_at timestamptz not null,
  lifted_by text,
  lifted_at timestamptz
);
create unique index patch_denial_open on patch_denial (pattern) where lifted_at is null;
-- a plan that assets are asked about, or were, before anything is started
create table plan (
  id uuid primary key,
  job_id uuid not null references patch_job (id),
  state text not null check (state in ('simulating', 'ready', 'started', 'discarded')),
  created_by text not null,
  created_at timestamptz not null,
  ready_at timestamptz,
  -- assets that have not answered by then are left out
  deadline_at timestamptz not null,
  -- what becomes of those
  unanswered text not null default 'leave_out' check (unanswered in ('leave_out', 'keep')),
  -- the plan before the assets were asked; with their answers once it is ready
  content jsonb not null,
  digest text
);
create index plan_job on plan (job_id, created_at);
create index plan_open on plan (deadline_at) where state = 'simulating';
create table simulation (
  id uuid primary key,
  plan_id uuid not null references plan (id),
  asset_id integer not null references asset (id),
  -- the signed question, sent until it is answered
  signed jsonb not null,
  asked_at timestamptz not null,
  answered_at timestamptz,
  result jsonb,
  -- why there will be no answer: { code, message }
  given_up jsonb
);
create unique index simulation_plan_asset on simulation (plan_id, asset_id);
create index simulation_open on simulation (asset_id) where answered_at is null and given_up is null;
create table deployment (
  id uuid primary key,
  job_id uuid not null references patch_job (id),
  state text not null,
  plan jsonb not null,
  plan_digest text not null,
  -- the plan whose assets were asked; null when it was started without
  plan_id uuid references plan (id),
  created_by text not null,
  created_at timestamptz not null,
  started_at timestamptz,
  ended_at timestamptz,
  pause_reasons jsonb not null default '[]'
);
create index deployment_job on deployment (job_id);
create table task (
  id uuid primary key,
  deployment_id uuid not null references deployment (id),
  ring smallint not null default 0,
  asset_id integer not null references asset (id),
  state text not null,
  -- for `unreachable`: the state that it goes on from
  resume_state text,
  reason jsonb,
  generation integer not null default 1,
  -- what this generation is about; a rollback undoes an earlier one
  action text not null default 'install' check (action in ('install', 'roll_back')),
  undoes_generation integer,
  -- the first generation that began to change the host since it was last as before; null: none did
  changed_generation integer,
  sequence bigint,
  planned jsonb not null,
  signed_order jsonb,
  -- the permission to reboot, sent until the agent goes on
  signed_reboot jsonb,
  -- a reboot that was put off or given back is not asked for again before
  reboot_after timestamptz,
  -- a whole window went by without a sign of the asset, which need not wait for the next one
  missed_window_at timestamptz,
  -- when it last went on by a step, or wrote a line
  progress_at timestamptz,
  expires_at timestamptz,
  offered_at timestamptz,
  ended_at timestamptz,
  updated_at timestamptz not null,
  -- highest index of the agent's events that is applied
  event_index integer not null default -1,
  evidence jsonb
);
create unique index task_deployment_asset on task (deployment_id, asset_id);
create index task_asset_open on task (asset_id) where ended_at is null;
create index task_open on task (state) where ended_at is null;
create index task_open_deployment on task (deployment_id) where ended_at is null;
-- what a limit of concurrency counts; `atWorkStates` in core are the others
create index task_at_work on task (deployment_id)
  where ended_at is null and coalesce(resume_state, state) not in ('queued', 'restart_pending', 'reboot_pending');
-- An agent that has a task is told so at its next check-in.
create function task_opened() returns trigger language plpgsql as $$
begin
  perform note_agents_changed((select array_agg(distinct asset_id) from news where ended_at is null));
  return null;
end $$;
create function task_opened_again() returns trigger language plpgsql as $$
declare changed integer[];
begin
  select array_agg(distinct n.asset_id) into changed from news n join olds o on o.id = n.id
  where n.ended_at is null and o.ended_at is not null;
  if changed is not null then perform note_agents_changed(changed); end if;
  return null;
end $$;
create trigger task_opened after insert on task
  referencing new table as news for each statement execute function task_opened();
create trigger task_opened_again after update on task
  referencing new table as news old table as olds for each statement execute function task_opened_again();
-- An agent that is asked about a plan is told so at its next check-in.
create function simulation_asked() returns trigger language plpgsql as $$
begin
  perform note_agents_changed((select array_agg(distinct asset_id) from news));
  return null;
end $$;
create trigger simulation_asked after insert on simulation
  referencing new table as news for each statement execute function simulation_asked();
-- Assets that are down, or may be, for a reboot that a task has been let go on to: what limits per tag count.
create table reboot_place (
  task_id uuid primary key references task (id),
  asset_id integer not null references asset (id),
  -- what the asset ran when it was let go on
  boot_id text not null,
  taken_at timestamptz not null,
  back_by timestamptz not null,
  -- when it first checked in with another boot id
  back_at timestamptz
);
create index reboot_place_asset on reboot_place (asset_id);
-- what the agent's commands wrote, as it came; bounded for each generation
create table task_log (
  task_id uuid not null references task (id),
  generation integer not null,
  place integer not null,
  at timestamptz not null,
  step text not null,
  text text not null,
  primary key (task_id, generation, place)
);
create table task_event (
  task_id uuid not null references task (id),
  ordinal integer not null,
  at timestamptz not null,
  from_state text not null,
  to_state text not null,
  source text not null check (source in ('server', 'agent', 'person')),
  message text,
  detail jsonb,
  primary key (task_id, ordinal)
);

-- notify ----------------------------------------------------------------------------------------------------------
create table alert (
  id uuid primary key,
  kind text not null,
  severity text not null check (severity in ('info', 'warning', 'critical')),
  subject_kind text not null,
  subject text not null,
  message text not null,
  what_to_do text not null,
  detail jsonb,
  raised_at timestamptz not null,
  acknowledged_at timestamptz,
  acknowledged_by text,
  -- one alert per event, however often the event is seen
  deduplication_key text not null unique
);

-- distribution ----------------------------------------------------------------------------------------------------
create table distribution_file (
  url text primary key,
  sha256 text,
  bytes bigint not null,
  etag text,
  last_modified text,
  fetched_at timestamptz not null,
  last_used_at timestamptz not null
);
create index distribution_file_sha256 on distribution_file (sha256);
-- distribution points near the hosts, each with hosts of its own by their addresses
create table distribution_point (
  id uuid primary key,
  name text not null,
  -- of the secret that it shows to the server
  secret_digest text not null,
  url text not null,
  -- addresses of the hosts that load from it: ["10.1.0.0/16"]
  ranges jsonb not null,
  created_by text not null,
  created_at timestamptz not null,
  last_seen_at timestamptz,
  -- what it last told of itself
  status jsonb,
  -- [{ url, asked_at }]: files that a host took for forged, until the point has looked again
  suspects jsonb not null default '[]',
  removed_at timestamptz
);
create unique index distribution_point_name on distribution_point (name) where removed_at is null;

-- feed sync -------------------------------------------------------------------------------------------------------
-- what an administrator has set; a feed without a row is as the configuration says
create table feed_setting (
  feed text primary key,
  enabled boolean,
  -- a mirror instead of the publisher's address; may hold credentials, so it is never shown whole
  url text,
  interval_seconds integer check (interval_seconds between 60 and 31536000),
  changed_by text not null,
  changed_at timestamptz not null
);
-- one row a feed that was ever synced: its schedule, its last attempt, and how far the one under way is
create table feed_sync (
  feed text primary key,
  -- somebody asked for it: { actor, allow_shrink }
  requested jsonb,
  next_attempt_at timestamptz,
  attempted_at timestamptz,
  succeeded_at timestamptz,
  failures integer not null default 0,
  outcome text check (outcome in ('imported', 'not_modified', 'failed')),
  error_code text,
  error text,
  what_to_do text,
  -- of the last attempt
  bytes bigint not null default 0,
  seconds real,
  -- SHA-256 of the files whose import was refused: they are not tried again until one of them is another
  refused_digest text,
  -- what is held is the newest that there was at this time, as the publisher or a bundle said
  confirmed_at timestamptz,
  -- of the last plan that was imported, and the version of the product that imported it
  state jsonb,
  state_version text,
  phase text not null default 'idle' check (phase in ('idle', 'downloading', 'importing')),
  progress_bytes bigint not null default 0,
  progress_total bigint,
  progress_records integer not null default 0
);
-- what a publisher gave out under an address, for asking only whether it has changed
create table feed_download (
  url text primary key,
  feed text not null,
  sha256 text not null,
  bytes bigint not null,
  etag text,
  last_modified text,
  fetched_at timestamptz not null
);
create index feed_download_feed on feed_download (feed);
-- the files that what is held of a feed came from: what a bundle is made of
create table feed_file (
  feed text not null,
  name text not null,
  ordinal integer not null,
  sha256 text not null,
  bytes bigint not null,
  url text,
  published_at timestamptz,
  primary key (feed, name)
);
-- public keys of servers whose bundles are taken
create table bundle_key (
  public_key text primary key,
  name text not null,
  added_by text not null,
  added_at timestamptz not null
);
