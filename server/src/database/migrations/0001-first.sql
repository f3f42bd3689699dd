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

-- the server's own keys: Ed25519 for orders, a random secret for sessions of agents
create table server_key (
  id text primary key,
  purpose text not null check (purpose in ('order', 'session')),
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
create table statement (
  feed text not null,
  record text not null,
  vulnerability text not null,
  ecosystem text not null,
  release text not null,
  package text not null,
  status text not null check (status in ('fixed', 'affected', 'not_affected', 'undetermined')),
  fixed_version text,
  fix_state text not null,
  note text,
  advisory text,
  stated_at timestamptz,
  foreign key (feed, record) references feed_record (feed, record) on delete cascade
);
create index statement_record on statement (feed, record);
create index statement_product on statement (ecosystem, release, package);
create index statement_vulnerability on statement (vulnerability);
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
  asserted_on date not null,
  due_on date,
  title text,
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
  first_seen_at timestamptz not null,
  unique (ecosystem, release, name, version, arch, source, source_version)
);
create index software_product on software (ecosystem, release, source);
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
  last_seen_at timestamptz,
  -- last answer that we told the agent to come back after
  next_check_in_seconds real not null default 60,
  criticality smallint not null default 3 check (criticality between 1 and 5),
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
create index asset_last_seen on asset (last_seen_at);
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
  undetermined jsonb not null
);

create table tag (
  id uuid primary key,
  name text not null unique check (name ~ '^[a-z0-9][a-z0-9._/-]{0,62}$'),
  description text not null default '',
  created_by text not null,
  created_at timestamptz not null
);
create table tag_asset (
  tag_id uuid not null references tag (id) on delete cascade,
  asset_id integer not null references asset (id),
  primary key (tag_id, asset_id)
);
create index tag_asset_asset on tag_asset (asset_id);

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
create table deployment (
  id uuid primary key,
  job_id uuid not null references patch_job (id),
  state text not null,
  plan jsonb not null,
  plan_digest text not null,
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
  sequence bigint,
  planned jsonb not null,
  signed_order jsonb,
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
