-- The schema as it stands after every migration. Written by "npm run schema"; do not edit.
-- Columns, constraints and indexes are given as PostgreSQL prints them.

create table "user" (
  id text not null,
  name text not null,
  email text not null,
  "emailVerified" boolean not null,
  image text,
  "createdAt" timestamp with time zone default CURRENT_TIMESTAMP not null,
  "updatedAt" timestamp with time zone default CURRENT_TIMESTAMP not null,
  role text,
  banned boolean,
  "banReason" text,
  "banExpires" timestamp with time zone,
  constraint user_pkey PRIMARY KEY (id),
  constraint user_email_key UNIQUE (email)
);

create table account (
  id text not null,
  "accountId" text not null,
  "providerId" text not null,
  "userId" text not null,
  "accessToken" text,
  "refreshToken" text,
  "idToken" text,
  "accessTokenExpiresAt" timestamp with time zone,
  "refreshTokenExpiresAt" timestamp with time zone,
  scope text,
  password text,
  "createdAt" timestamp with time zone default CURRENT_TIMESTAMP not null,
  "updatedAt" timestamp with time zone not null,
  constraint account_pkey PRIMARY KEY (id),
  constraint "account_userId_fkey" FOREIGN KEY ("userId") REFERENCES "user"(id) ON DELETE CASCADE
);
CREATE INDEX account_user ON public.account USING btree ("userId");

create table advisory (
  feed text not null,
  record text not null,
  id text not null,
  title text not null,
  published_at timestamp with time zone,
  withdrawn_at timestamp with time zone,
  vulnerabilities text[] not null,
  url text,
  constraint advisory_feed_record_fkey FOREIGN KEY (feed, record) REFERENCES feed_record(feed, record) ON DELETE CASCADE
);
CREATE INDEX advisory_id ON public.advisory USING btree (id);
CREATE INDEX advisory_record ON public.advisory USING btree (feed, record);
CREATE INDEX advisory_vulnerabilities ON public.advisory USING gin (vulnerabilities);

create table alert (
  id uuid not null,
  kind text not null,
  severity text not null,
  subject_kind text not null,
  subject text not null,
  message text not null,
  what_to_do text not null,
  detail jsonb,
  raised_at timestamp with time zone not null,
  acknowledged_at timestamp with time zone,
  acknowledged_by text,
  deduplication_key text not null,
  constraint alert_pkey PRIMARY KEY (id),
  constraint alert_deduplication_key_key UNIQUE (deduplication_key),
  constraint alert_severity_check CHECK (severity = ANY (ARRAY['info'::text, 'warning'::text, 'critical'::text]))
);

create table asset (
  id integer generated always as identity not null,
  uid uuid not null,
  hostname text not null,
  mode text not null,
  os text not null,
  os_release text not null,
  arch text not null,
  public_key text not null,
  agent_version text not null,
  enrolled_at timestamp with time zone not null,
  enrolled_by text not null,
  retired_at timestamp with time zone,
  criticality_set smallint,
  attributes jsonb default '{}'::jsonb not null,
  software integer[] default '{}'::integer[] not null,
  since integer[] default '{}'::integer[] not null,
  digests jsonb,
  inventory_at timestamp with time zone,
  host jsonb,
  candidates jsonb default '[]'::jsonb not null,
  residue jsonb default '[]'::jsonb not null,
  problems jsonb default '[]'::jsonb not null,
  constraint asset_pkey PRIMARY KEY (id),
  constraint asset_public_key_key UNIQUE (public_key),
  constraint asset_uid_key UNIQUE (uid),
  constraint asset_criticality_set_check CHECK (criticality_set >= 1 AND criticality_set <= 5),
  constraint asset_mode_check CHECK (mode = ANY (ARRAY['assess'::text, 'manage'::text]))
);
CREATE INDEX asset_software ON public.asset USING gin (software);

create table asset_contact (
  asset_id integer not null,
  last_seen_at timestamp with time zone not null,
  next_check_in_seconds real default 60 not null,
  constraint asset_contact_pkey PRIMARY KEY (asset_id),
  constraint asset_contact_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id)
);
CREATE INDEX asset_contact_last_seen ON public.asset_contact USING btree (last_seen_at);

create table asset_exposure (
  asset_id integer not null,
  inert integer[] not null,
  next_kernel integer,
  stale_software integer[] not null,
  stale_since integer[] not null,
  stale_kind text[] not null,
  stale_reason text[] not null,
  undetermined jsonb not null,
  mitigations text[] default '{}'::text[] not null,
  first_seen jsonb default '{}'::jsonb not null,
  constraint asset_exposure_pkey PRIMARY KEY (asset_id),
  constraint asset_exposure_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id),
  constraint asset_exposure_next_kernel_fkey FOREIGN KEY (next_kernel) REFERENCES software(id)
);

create table audit_event (
  sequence bigint not null,
  at timestamp with time zone not null,
  actor_kind text not null,
  actor text not null,
  event text not null,
  subject_kind text not null,
  subject text not null,
  reason text,
  before jsonb,
  after jsonb,
  previous_hash text not null,
  hash text not null,
  constraint audit_event_pkey PRIMARY KEY (sequence),
  constraint audit_event_hash_key UNIQUE (hash),
  constraint audit_event_actor_kind_check CHECK (actor_kind = ANY (ARRAY['person'::text, 'token'::text, 'agent'::text, 'system'::text]))
);
CREATE INDEX audit_event_event ON public.audit_event USING btree (event, sequence);
CREATE INDEX audit_event_subject ON public.audit_event USING btree (subject_kind, subject, sequence);

create table bundle_key (
  public_key text not null,
  name text not null,
  added_by text not null,
  added_at timestamp with time zone not null,
  constraint bundle_key_pkey PRIMARY KEY (public_key)
);

create table calendar (
  id uuid not null,
  name text not null,
  description text default ''::text not null,
  everywhere boolean not null,
  zone text not null,
  source text not null,
  created_by text not null,
  created_at timestamp with time zone not null,
  changed_at timestamp with time zone not null,
  constraint calendar_pkey PRIMARY KEY (id),
  constraint calendar_name_key UNIQUE (name)
);

create table change_log (
  xid xid8 default pg_current_xact_id() not null,
  sequence bigint generated always as identity not null,
  asset_id integer not null,
  added integer[] not null,
  removed integer[] not null,
  at timestamp with time zone not null,
  constraint change_log_pkey PRIMARY KEY (xid, sequence),
  constraint change_log_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id)
);
CREATE INDEX change_log_asset ON public.change_log USING btree (asset_id, at);

create table criticality_rule (
  id uuid not null,
  name text not null,
  "position" integer not null,
  query text not null,
  criticality smallint not null,
  created_by text not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint criticality_rule_pkey PRIMARY KEY (id),
  constraint criticality_rule_name_key UNIQUE (name),
  constraint criticality_rule_position_key UNIQUE ("position") DEFERRABLE INITIALLY DEFERRED,
  constraint criticality_rule_criticality_check CHECK (criticality >= 1 AND criticality <= 5)
);

create table cvss (
  feed text not null,
  record text not null,
  vulnerability text not null,
  scorer text not null,
  version text not null,
  vector text not null,
  base_score real not null,
  constraint cvss_feed_record_fkey FOREIGN KEY (feed, record) REFERENCES feed_record(feed, record) ON DELETE CASCADE
);
CREATE INDEX cvss_record ON public.cvss USING btree (feed, record);
CREATE INDEX cvss_vulnerability ON public.cvss USING btree (vulnerability);

create table deployment (
  id uuid not null,
  job_id uuid not null,
  state text not null,
  plan jsonb not null,
  plan_digest text not null,
  plan_id uuid,
  created_by text not null,
  created_at timestamp with time zone not null,
  started_at timestamp with time zone,
  ended_at timestamp with time zone,
  pause_reasons jsonb default '[]'::jsonb not null,
  constraint deployment_pkey PRIMARY KEY (id),
  constraint deployment_job_id_fkey FOREIGN KEY (job_id) REFERENCES patch_job(id),
  constraint deployment_plan_id_fkey FOREIGN KEY (plan_id) REFERENCES plan(id)
);
CREATE INDEX deployment_job ON public.deployment USING btree (job_id);

create table distribution_file (
  url text not null,
  sha256 text,
  bytes bigint not null,
  etag text,
  last_modified text,
  fetched_at timestamp with time zone not null,
  last_used_at timestamp with time zone not null,
  constraint distribution_file_pkey PRIMARY KEY (url)
);
CREATE INDEX distribution_file_sha256 ON public.distribution_file USING btree (sha256);

create table distribution_point (
  id uuid not null,
  name text not null,
  secret_digest text not null,
  url text not null,
  ranges jsonb not null,
  created_by text not null,
  created_at timestamp with time zone not null,
  last_seen_at timestamp with time zone,
  status jsonb,
  suspects jsonb default '[]'::jsonb not null,
  removed_at timestamp with time zone,
  constraint distribution_point_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX distribution_point_name ON public.distribution_point USING btree (name) WHERE (removed_at IS NULL);

create table exposure_history (
  id bigint generated always as identity not null,
  asset_id integer not null,
  software_id integer not null,
  vulnerability text not null,
  opened_at timestamp with time zone not null,
  closed_at timestamp with time zone not null,
  evidence jsonb not null,
  constraint exposure_history_pkey PRIMARY KEY (id),
  constraint exposure_history_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id),
  constraint exposure_history_software_id_fkey FOREIGN KEY (software_id) REFERENCES software(id)
);
CREATE INDEX exposure_history_asset ON public.exposure_history USING btree (asset_id, closed_at);
CREATE INDEX exposure_history_vulnerability ON public.exposure_history USING btree (vulnerability);

create table feed (
  id text not null,
  published_at timestamp with time zone,
  last_attempt_at timestamp with time zone,
  last_success_at timestamp with time zone,
  last_error_code text,
  last_error text,
  source_name text,
  source_digest text,
  records integer default 0 not null,
  rejected integer default 0 not null,
  constraint feed_pkey PRIMARY KEY (id)
);

create table feed_download (
  url text not null,
  feed text not null,
  sha256 text not null,
  bytes bigint not null,
  etag text,
  last_modified text,
  fetched_at timestamp with time zone not null,
  constraint feed_download_pkey PRIMARY KEY (url)
);
CREATE INDEX feed_download_feed ON public.feed_download USING btree (feed);

create table feed_file (
  feed text not null,
  name text not null,
  ordinal integer not null,
  sha256 text not null,
  bytes bigint not null,
  url text,
  published_at timestamp with time zone,
  constraint feed_file_pkey PRIMARY KEY (feed, name)
);

create table feed_record (
  feed text not null,
  record text not null,
  digest text not null,
  raw text not null,
  imported_at timestamp with time zone not null,
  constraint feed_record_pkey PRIMARY KEY (feed, record),
  constraint feed_record_feed_fkey FOREIGN KEY (feed) REFERENCES feed(id)
);

create table feed_rejection (
  feed text not null,
  ordinal integer not null,
  "position" text not null,
  code text not null,
  message text not null,
  excerpt text not null,
  record text,
  at timestamp with time zone not null,
  constraint feed_rejection_pkey PRIMARY KEY (feed, ordinal),
  constraint feed_rejection_feed_fkey FOREIGN KEY (feed) REFERENCES feed(id)
);

create table feed_setting (
  feed text not null,
  enabled boolean,
  url text,
  interval_seconds integer,
  changed_by text not null,
  changed_at timestamp with time zone not null,
  constraint feed_setting_pkey PRIMARY KEY (feed),
  constraint feed_setting_interval_seconds_check CHECK (interval_seconds >= 60 AND interval_seconds <= 31536000)
);

create table feed_sync (
  feed text not null,
  requested jsonb,
  next_attempt_at timestamp with time zone,
  attempted_at timestamp with time zone,
  succeeded_at timestamp with time zone,
  failures integer default 0 not null,
  outcome text,
  error_code text,
  error text,
  what_to_do text,
  bytes bigint default 0 not null,
  seconds real,
  refused_digest text,
  confirmed_at timestamp with time zone,
  state jsonb,
  state_version text,
  phase text default 'idle'::text not null,
  progress_bytes bigint default 0 not null,
  progress_total bigint,
  progress_records integer default 0 not null,
  constraint feed_sync_pkey PRIMARY KEY (feed),
  constraint feed_sync_outcome_check CHECK (outcome = ANY (ARRAY['imported'::text, 'not_modified'::text, 'failed'::text])),
  constraint feed_sync_phase_check CHECK (phase = ANY (ARRAY['idle'::text, 'downloading'::text, 'importing'::text]))
);

create table fleet_change (
  xid xid8 default pg_current_xact_id() not null,
  sequence bigint generated always as identity not null,
  kind text not null,
  ids integer[],
  keys text[],
  at timestamp with time zone default clock_timestamp() not null,
  constraint fleet_change_pkey PRIMARY KEY (xid, sequence),
  constraint fleet_change_kind_check CHECK (kind = ANY (ARRAY['asset'::text, 'software'::text, 'vulnerability'::text, 'tag'::text, 'criticality'::text, 'sla'::text, 'acceptance'::text]))
);
CREATE INDEX fleet_change_at ON public.fleet_change USING btree (at);

create table job_run (
  job_id uuid not null,
  due_at timestamp with time zone not null,
  taken_at timestamp with time zone,
  deployment_id uuid,
  outcome jsonb,
  constraint job_run_pkey PRIMARY KEY (job_id, due_at),
  constraint job_run_job_id_fkey FOREIGN KEY (job_id) REFERENCES patch_job(id)
);
CREATE INDEX job_run_due ON public.job_run USING btree (due_at) WHERE (taken_at IS NULL);

create table patch (
  id text not null,
  ecosystem text not null,
  release text not null,
  package text not null,
  version text not null,
  known_since timestamp with time zone not null,
  offered_since timestamp with time zone,
  constraint patch_pkey PRIMARY KEY (id)
);
CREATE INDEX patch_product ON public.patch USING btree (ecosystem, release, package);

create table patch_denial (
  id uuid not null,
  pattern text not null,
  reason text not null,
  created_by text not null,
  created_at timestamp with time zone not null,
  lifted_by text,
  lifted_at timestamp with time zone,
  constraint patch_denial_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX patch_denial_open ON public.patch_denial USING btree (pattern) WHERE (lifted_at IS NULL);

create table patch_job (
  id uuid not null,
  name text not null,
  definition jsonb not null,
  created_by text not null,
  created_at timestamp with time zone not null,
  archived_at timestamp with time zone,
  constraint patch_job_pkey PRIMARY KEY (id)
);

create table plan (
  id uuid not null,
  job_id uuid not null,
  state text not null,
  created_by text not null,
  created_at timestamp with time zone not null,
  ready_at timestamp with time zone,
  deadline_at timestamp with time zone not null,
  unanswered text default 'leave_out'::text not null,
  content jsonb not null,
  digest text,
  constraint plan_pkey PRIMARY KEY (id),
  constraint plan_state_check CHECK (state = ANY (ARRAY['simulating'::text, 'ready'::text, 'started'::text, 'discarded'::text])),
  constraint plan_unanswered_check CHECK (unanswered = ANY (ARRAY['leave_out'::text, 'keep'::text])),
  constraint plan_job_id_fkey FOREIGN KEY (job_id) REFERENCES patch_job(id)
);
CREATE INDEX plan_job ON public.plan USING btree (job_id, created_at);
CREATE INDEX plan_open ON public.plan USING btree (deadline_at) WHERE (state = 'simulating'::text);

create table reboot_place (
  task_id uuid not null,
  asset_id integer not null,
  boot_id text not null,
  taken_at timestamp with time zone not null,
  back_by timestamp with time zone not null,
  back_at timestamp with time zone,
  constraint reboot_place_pkey PRIMARY KEY (task_id),
  constraint reboot_place_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id),
  constraint reboot_place_task_id_fkey FOREIGN KEY (task_id) REFERENCES task(id)
);
CREATE INDEX reboot_place_asset ON public.reboot_place USING btree (asset_id);

create table report (
  id uuid not null,
  name text not null,
  description text default ''::text not null,
  subject text not null,
  query text not null,
  sort jsonb not null,
  columns text[] not null,
  owner_kind text not null,
  owner text not null,
  shared boolean not null,
  version integer default 1 not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  updated_by text not null,
  query_since timestamp with time zone not null,
  archived_at timestamp with time zone,
  constraint report_pkey PRIMARY KEY (id),
  constraint report_owner_kind_check CHECK (owner_kind = ANY (ARRAY['person'::text, 'token'::text, 'system'::text])),
  constraint report_subject_check CHECK (subject = ANY (ARRAY['finding'::text, 'asset'::text, 'vulnerability'::text, 'patch'::text]))
);
CREATE INDEX report_owner ON public.report USING btree (owner_kind, owner) WHERE (archived_at IS NULL);

create table report_count (
  report_id uuid not null,
  at timestamp with time zone not null,
  items integer not null,
  assets integer not null,
  risk real,
  constraint report_count_pkey PRIMARY KEY (report_id, at),
  constraint report_count_report_id_fkey FOREIGN KEY (report_id) REFERENCES report(id) ON DELETE CASCADE
);

create table risk_acceptance (
  id uuid not null,
  scope text not null,
  reason text not null,
  owner text not null,
  created_by text not null,
  created_at timestamp with time zone not null,
  starts_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  warned_at timestamp with time zone,
  expired_at timestamp with time zone,
  revoked_at timestamp with time zone,
  revoked_by text,
  revoked_reason text,
  constraint risk_acceptance_pkey PRIMARY KEY (id),
  constraint risk_acceptance_check CHECK (expires_at > starts_at)
);
CREATE INDEX risk_acceptance_running ON public.risk_acceptance USING btree (expires_at) WHERE ((expired_at IS NULL) AND (revoked_at IS NULL));

create table schema_migration (
  number integer not null,
  name text not null,
  sha256 text not null,
  applied_at timestamp with time zone default CURRENT_TIMESTAMP not null,
  constraint schema_migration_pkey PRIMARY KEY (number)
);

create table server_key (
  id text not null,
  purpose text not null,
  public_key text,
  private_key text not null,
  created_at timestamp with time zone not null,
  retired_at timestamp with time zone,
  constraint server_key_pkey PRIMARY KEY (id),
  constraint server_key_purpose_check CHECK (purpose = ANY (ARRAY['order'::text, 'session'::text, 'bundle'::text]))
);

create table session (
  id text not null,
  "expiresAt" timestamp with time zone not null,
  token text not null,
  "createdAt" timestamp with time zone default CURRENT_TIMESTAMP not null,
  "updatedAt" timestamp with time zone not null,
  "ipAddress" text,
  "userAgent" text,
  "userId" text not null,
  "impersonatedBy" text,
  constraint session_pkey PRIMARY KEY (id),
  constraint session_token_key UNIQUE (token),
  constraint "session_userId_fkey" FOREIGN KEY ("userId") REFERENCES "user"(id) ON DELETE CASCADE
);
CREATE INDEX session_user_id ON public.session USING btree ("userId");

create table simulation (
  id uuid not null,
  plan_id uuid not null,
  asset_id integer not null,
  signed jsonb not null,
  asked_at timestamp with time zone not null,
  answered_at timestamp with time zone,
  result jsonb,
  given_up jsonb,
  constraint simulation_pkey PRIMARY KEY (id),
  constraint simulation_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id),
  constraint simulation_plan_id_fkey FOREIGN KEY (plan_id) REFERENCES plan(id)
);
CREATE INDEX simulation_open ON public.simulation USING btree (asset_id) WHERE ((answered_at IS NULL) AND (given_up IS NULL));
CREATE UNIQUE INDEX simulation_plan_asset ON public.simulation USING btree (plan_id, asset_id);

create table sla_rule (
  id uuid not null,
  name text not null,
  "position" integer not null,
  definition jsonb not null,
  created_by text not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint sla_rule_pkey PRIMARY KEY (id),
  constraint sla_rule_name_key UNIQUE (name),
  constraint sla_rule_position_key UNIQUE ("position") DEFERRABLE INITIALLY DEFERRED
);

create table software (
  id integer generated always as identity not null,
  ecosystem text not null,
  release text not null,
  name text not null,
  version text not null,
  arch text not null,
  source text not null,
  source_version text not null,
  origin text default ''::text not null,
  vendor text default ''::text not null,
  module text default ''::text not null,
  updates text default ''::text not null,
  package text not null,
  statement_source text not null,
  kernel boolean not null,
  first_seen_at timestamp with time zone not null,
  constraint software_pkey PRIMARY KEY (id),
  constraint software_origin_check CHECK (origin = ANY (ARRAY[''::text, 'third_party'::text, 'unknown'::text]))
);
CREATE UNIQUE INDEX software_identity ON public.software USING btree (ecosystem, release, name, version, arch, source, source_version, origin, vendor, module, md5(updates));
CREATE INDEX software_name ON public.software USING btree (ecosystem, release, name);
CREATE INDEX software_source ON public.software USING btree (ecosystem, release, statement_source);

create table software_verdict (
  software_id integer not null,
  vulnerability text not null,
  verdict text not null,
  fix_state text not null,
  fixed_version text,
  evidence jsonb not null,
  since timestamp with time zone not null,
  constraint software_verdict_pkey PRIMARY KEY (software_id, vulnerability),
  constraint software_verdict_verdict_check CHECK (verdict = ANY (ARRAY['vulnerable'::text, 'undetermined'::text])),
  constraint software_verdict_software_id_fkey FOREIGN KEY (software_id) REFERENCES software(id)
);
CREATE INDEX software_verdict_vulnerability ON public.software_verdict USING btree (vulnerability);

create table statement (
  feed text not null,
  record text not null,
  vulnerability text not null,
  ecosystem text not null,
  release text not null,
  package text not null,
  package_kind text not null,
  module text,
  channel text,
  status text not null,
  introduced_version text,
  fixed_version text,
  updates text[] default '{}'::text[] not null,
  fix_state text not null,
  note text,
  advisory text,
  stated_at timestamp with time zone,
  constraint statement_package_kind_check CHECK (package_kind = ANY (ARRAY['source'::text, 'binary'::text])),
  constraint statement_status_check CHECK (status = ANY (ARRAY['fixed'::text, 'affected'::text, 'not_affected'::text, 'undetermined'::text])),
  constraint statement_feed_record_fkey FOREIGN KEY (feed, record) REFERENCES feed_record(feed, record) ON DELETE CASCADE
);
CREATE INDEX statement_product ON public.statement USING btree (ecosystem, release, package);
CREATE INDEX statement_record ON public.statement USING btree (feed, record);
CREATE INDEX statement_vulnerability ON public.statement USING btree (vulnerability);

create table tag (
  id uuid not null,
  name text not null,
  description text default ''::text not null,
  parent text,
  kind text not null,
  rule text,
  ranges text[],
  members bytea not null,
  members_at timestamp with time zone not null,
  created_by text not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  constraint tag_pkey PRIMARY KEY (id),
  constraint tag_name_key UNIQUE (name),
  constraint tag_check CHECK ((rule IS NOT NULL) = (kind = 'rule'::text)),
  constraint tag_check1 CHECK ((ranges IS NOT NULL) = (kind = 'ranges'::text)),
  constraint tag_kind_check CHECK (kind = ANY (ARRAY['list'::text, 'rule'::text, 'ranges'::text])),
  constraint tag_name_check CHECK (name ~ '^[a-z0-9][a-z0-9._/-]{0,62}$'::text),
  constraint tag_parent_fkey FOREIGN KEY (parent) REFERENCES tag(name) ON UPDATE CASCADE
);

create table task (
  id uuid not null,
  deployment_id uuid not null,
  ring smallint default 0 not null,
  asset_id integer not null,
  state text not null,
  resume_state text,
  reason jsonb,
  generation integer default 1 not null,
  action text default 'install'::text not null,
  undoes_generation integer,
  changed_generation integer,
  sequence bigint,
  planned jsonb not null,
  signed_order jsonb,
  signed_reboot jsonb,
  reboot_after timestamp with time zone,
  missed_window_at timestamp with time zone,
  progress_at timestamp with time zone,
  expires_at timestamp with time zone,
  offered_at timestamp with time zone,
  ended_at timestamp with time zone,
  updated_at timestamp with time zone not null,
  event_index integer default '-1'::integer not null,
  evidence jsonb,
  constraint task_pkey PRIMARY KEY (id),
  constraint task_action_check CHECK (action = ANY (ARRAY['install'::text, 'roll_back'::text])),
  constraint task_asset_id_fkey FOREIGN KEY (asset_id) REFERENCES asset(id),
  constraint task_deployment_id_fkey FOREIGN KEY (deployment_id) REFERENCES deployment(id)
);
CREATE INDEX task_asset_open ON public.task USING btree (asset_id) WHERE (ended_at IS NULL);
CREATE INDEX task_at_work ON public.task USING btree (deployment_id) WHERE ((ended_at IS NULL) AND (COALESCE(resume_state, state) <> ALL (ARRAY['queued'::text, 'restart_pending'::text, 'reboot_pending'::text])));
CREATE UNIQUE INDEX task_deployment_asset ON public.task USING btree (deployment_id, asset_id);
CREATE INDEX task_open ON public.task USING btree (state) WHERE (ended_at IS NULL);
CREATE INDEX task_open_deployment ON public.task USING btree (deployment_id) WHERE (ended_at IS NULL);

create table task_event (
  task_id uuid not null,
  ordinal integer not null,
  at timestamp with time zone not null,
  from_state text not null,
  to_state text not null,
  source text not null,
  message text,
  detail jsonb,
  constraint task_event_pkey PRIMARY KEY (task_id, ordinal),
  constraint task_event_source_check CHECK (source = ANY (ARRAY['server'::text, 'agent'::text, 'person'::text])),
  constraint task_event_task_id_fkey FOREIGN KEY (task_id) REFERENCES task(id)
);

create table task_log (
  task_id uuid not null,
  generation integer not null,
  place integer not null,
  at timestamp with time zone not null,
  step text not null,
  text text not null,
  constraint task_log_pkey PRIMARY KEY (task_id, generation, place),
  constraint task_log_task_id_fkey FOREIGN KEY (task_id) REFERENCES task(id)
);

create table threat (
  feed text not null,
  record text not null,
  vulnerability text not null,
  threat text not null,
  probability real,
  percentile real,
  ransomware boolean,
  ssvc jsonb,
  asserted_on date not null,
  due_on date,
  title text,
  reference text,
  constraint threat_feed_record_fkey FOREIGN KEY (feed, record) REFERENCES feed_record(feed, record) ON DELETE CASCADE
);
CREATE INDEX threat_record ON public.threat USING btree (feed, record);
CREATE INDEX threat_vulnerability ON public.threat USING btree (vulnerability);

create table token (
  id uuid not null,
  kind text not null,
  name text not null,
  secret_sha256 text not null,
  permissions text[] default '{}'::text[] not null,
  uses_left integer,
  tags text[] default '{}'::text[] not null,
  created_by text not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  revoked_at timestamp with time zone,
  last_used_at timestamp with time zone,
  constraint token_pkey PRIMARY KEY (id),
  constraint token_secret_sha256_key UNIQUE (secret_sha256),
  constraint token_kind_check CHECK (kind = ANY (ARRAY['tool'::text, 'enrolment'::text]))
);

create table vendor_update (
  feed text not null,
  record text not null,
  id text not null,
  product text not null,
  title text,
  supersedes text[] not null,
  fixed_build text,
  restart text,
  type text,
  published_at timestamp with time zone,
  url text,
  known_issues boolean not null,
  constraint vendor_update_restart_check CHECK (restart = ANY (ARRAY['required'::text, 'maybe'::text, 'not_required'::text])),
  constraint vendor_update_feed_record_fkey FOREIGN KEY (feed, record) REFERENCES feed_record(feed, record) ON DELETE CASCADE
);
CREATE INDEX vendor_update_id ON public.vendor_update USING btree (id);
CREATE INDEX vendor_update_product ON public.vendor_update USING btree (product, id);
CREATE INDEX vendor_update_record ON public.vendor_update USING btree (feed, record);

create table verification (
  id text not null,
  identifier text not null,
  value text not null,
  "expiresAt" timestamp with time zone not null,
  "createdAt" timestamp with time zone default CURRENT_TIMESTAMP not null,
  "updatedAt" timestamp with time zone default CURRENT_TIMESTAMP not null,
  constraint verification_pkey PRIMARY KEY (id)
);
CREATE INDEX verification_identifier ON public.verification USING btree (identifier);

create table vulnerability (
  feed text not null,
  record text not null,
  id text not null,
  aliases text[] not null,
  title text,
  description text,
  published_at timestamp with time zone,
  withdrawn_at timestamp with time zone,
  constraint vulnerability_feed_record_fkey FOREIGN KEY (feed, record) REFERENCES feed_record(feed, record) ON DELETE CASCADE
);
CREATE INDEX vulnerability_aliases ON public.vulnerability USING gin (aliases);
CREATE INDEX vulnerability_id ON public.vulnerability USING btree (id);
CREATE INDEX vulnerability_record ON public.vulnerability USING btree (feed, record);

CREATE OR REPLACE FUNCTION public.asset_detail_written()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare changed integer[];
begin
  select array_agg(distinct asset_id) into changed from news;
  if changed is not null then perform note_fleet_change('asset', changed, null); end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.asset_inserted()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  perform note_fleet_change('asset', (select array_agg(id) from news), null);
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.asset_updated()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
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
end $function$;

CREATE OR REPLACE FUNCTION public.note_agents_changed(ids integer[])
 RETURNS void
 LANGUAGE sql
AS $function$
  select pg_notify('agents_changed', string_agg(id::text, ',')) from unnest(ids) with ordinality as x (id, n) group by (n - 1) / 700;
$function$;

CREATE OR REPLACE FUNCTION public.note_fleet_change(kind text, ids integer[], keys text[])
 RETURNS void
 LANGUAGE sql
AS $function$
  insert into fleet_change (kind, ids, keys) values (kind, ids, keys);
  select pg_notify('fleet_change', '');
$function$;

CREATE OR REPLACE FUNCTION public.rules_written()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  perform note_fleet_change(tg_argv[0], null, null);
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.simulation_asked()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  perform note_agents_changed((select array_agg(distinct asset_id) from news));
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.software_written()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare changed integer[];
begin
  if tg_table_name = 'software' then select array_agg(id) into changed from news;
  else select array_agg(distinct software_id) into changed from news;
  end if;
  if changed is not null then perform note_fleet_change('software', changed, null); end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.tag_updated()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if exists (
    select from news n join olds o on o.id = n.id
    where (n.name, n.description, n.parent, n.kind, n.rule, n.ranges) is distinct from (o.name, o.description, o.parent, o.kind, o.rule, o.ranges)
      or (n.kind = 'list' and n.members is distinct from o.members)
  ) then perform note_fleet_change('tag', null, null); end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.task_opened()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  perform note_agents_changed((select array_agg(distinct asset_id) from news where ended_at is null));
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.task_opened_again()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare changed integer[];
begin
  select array_agg(distinct n.asset_id) into changed from news n join olds o on o.id = n.id
  where n.ended_at is null and o.ended_at is not null;
  if changed is not null then perform note_agents_changed(changed); end if;
  return null;
end $function$;

CREATE TRIGGER asset_inserted AFTER INSERT ON asset REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION asset_inserted();

CREATE TRIGGER asset_updated AFTER UPDATE ON asset REFERENCING OLD TABLE AS olds NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION asset_updated();

CREATE TRIGGER asset_exposure_inserted AFTER INSERT ON asset_exposure REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION asset_detail_written();

CREATE TRIGGER asset_exposure_updated AFTER UPDATE ON asset_exposure REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION asset_detail_written();

CREATE TRIGGER criticality_rule_written AFTER INSERT OR DELETE OR UPDATE ON criticality_rule FOR EACH STATEMENT EXECUTE FUNCTION rules_written('criticality');

CREATE TRIGGER exposure_history_inserted AFTER INSERT ON exposure_history REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION asset_detail_written();

CREATE TRIGGER risk_acceptance_written AFTER INSERT OR DELETE OR UPDATE ON risk_acceptance FOR EACH STATEMENT EXECUTE FUNCTION rules_written('acceptance');

CREATE TRIGGER simulation_asked AFTER INSERT ON simulation REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION simulation_asked();

CREATE TRIGGER sla_rule_written AFTER INSERT OR DELETE OR UPDATE ON sla_rule FOR EACH STATEMENT EXECUTE FUNCTION rules_written('sla');

CREATE TRIGGER software_inserted AFTER INSERT ON software REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION software_written();

CREATE TRIGGER software_verdict_deleted AFTER DELETE ON software_verdict REFERENCING OLD TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION software_written();

CREATE TRIGGER software_verdict_inserted AFTER INSERT ON software_verdict REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION software_written();

CREATE TRIGGER software_verdict_updated AFTER UPDATE ON software_verdict REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION software_written();

CREATE TRIGGER tag_inserted AFTER INSERT OR DELETE ON tag FOR EACH STATEMENT EXECUTE FUNCTION rules_written('tag');

CREATE TRIGGER tag_updated AFTER UPDATE ON tag REFERENCING OLD TABLE AS olds NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION tag_updated();

CREATE TRIGGER task_opened AFTER INSERT ON task REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION task_opened();

CREATE TRIGGER task_opened_again AFTER UPDATE ON task REFERENCING OLD TABLE AS olds NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION task_opened_again();
