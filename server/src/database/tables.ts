// Longer than 400 lines because it shows the rows of every table in one place, as schema.sql shows the tables.
import type {
  CvssFact,
  FeedId,
  StatementFact,
  ThreatFact,
  UpdateFact,
} from '@fixpoint/core/knowledge/facts.ts';
import type { Undetermined } from '@fixpoint/core/finding/exposure.ts';
import type { SlaRule } from '@fixpoint/core/finding/sla.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';
import type { VerdictEvidence } from '@fixpoint/core/match/evidence.ts';
import type { ColumnType, Generated } from 'kysely';
import type { Static } from 'typebox';
import type { Candidate, HostFacts, InventoryDigestsSchema, Residue } from '@fixpoint/contract/inventory.ts';

/** One interface per table, as in schema.sql. JSON columns are written as text (JSON.stringify) and read parsed. */

type Json<T> = ColumnType<T, string, string>;
type Time = ColumnType<Date, Date | string, Date | string>;
type OptionalTime = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
type BigInt = ColumnType<string, string | number | bigint, string | number | bigint>;

export interface UserTable {
  id: string;
  name: string;
  email: string;
  emailVerified: boolean;
  image: string | null;
  createdAt: ColumnType<Date, Date | string | undefined, Date | string>;
  updatedAt: ColumnType<Date, Date | string | undefined, Date | string>;
  role: string | null;
  banned: boolean | null;
  banReason: string | null;
  banExpires: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
}

export interface SessionTable {
  id: string;
  expiresAt: Time;
  token: string;
  createdAt: ColumnType<Date, Date | string | undefined, Date | string>;
  updatedAt: Time;
  ipAddress: string | null;
  userAgent: string | null;
  userId: string;
  impersonatedBy: string | null;
}

export interface AccountTable {
  id: string;
  accountId: string;
  providerId: string;
  userId: string;
  accessToken: string | null;
  refreshToken: string | null;
  idToken: string | null;
  accessTokenExpiresAt: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  refreshTokenExpiresAt: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  scope: string | null;
  password: string | null;
  createdAt: ColumnType<Date, Date | string | undefined, Date | string>;
  updatedAt: Time;
}

export interface VerificationTable {
  id: string;
  identifier: string;
  value: string;
  expiresAt: Time;
  createdAt: ColumnType<Date, Date | string | undefined, Date | string>;
  updatedAt: ColumnType<Date, Date | string | undefined, Date | string>;
}

export interface TokenTable {
  id: string;
  kind: string;
  name: string;
  secret_sha256: string;
  permissions: Generated<string[]>;
  uses_left: number | null;
  tags: Generated<string[]>;
  created_by: string;
  created_at: Time;
  expires_at: Time;
  revoked_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  last_used_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
}

export interface ServerKeyTable {
  id: string;
  purpose: string;
  public_key: string | null;
  private_key: string;
  created_at: Time;
  retired_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
}

export interface AuditEventTable {
  sequence: BigInt;
  at: Time;
  actor_kind: string;
  actor: string;
  event: string;
  subject_kind: string;
  subject: string;
  reason: string | null;
  before: ColumnType<unknown, string | null, string | null>;
  after: ColumnType<unknown, string | null, string | null>;
  previous_hash: string;
  hash: string;
}

export interface FeedTable {
  id: FeedId;
  published_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  last_attempt_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  last_success_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  last_error_code: string | null;
  last_error: string | null;
  source_name: string | null;
  source_digest: string | null;
  records: Generated<number>;
  rejected: Generated<number>;
}

export interface FeedRecordTable {
  feed: FeedId;
  record: string;
  digest: string;
  raw: string;
  imported_at: Time;
}

export interface FeedRejectionTable {
  feed: string;
  ordinal: number;
  position: string;
  code: string;
  message: string;
  excerpt: string;
  record: string | null;
  at: Time;
}

export interface AdvisoryTable {
  feed: string;
  record: string;
  id: string;
  title: string;
  published_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  withdrawn_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  vulnerabilities: string[];
  url: string | null;
}

export interface VulnerabilityTable {
  feed: FeedId;
  record: string;
  id: string;
  aliases: string[];
  title: string | null;
  description: string | null;
  published_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  withdrawn_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
}

export interface StatementTable {
  feed: FeedId;
  record: string;
  vulnerability: string;
  ecosystem: string;
  release: string;
  package: string;
  package_kind: StatementFact['packageKind'];
  module: string | null;
  channel: string | null;
  status: StatementFact['status'];
  introduced_version: string | null;
  fixed_version: string | null;
  updates: Generated<string[]>;
  fix_state: StatementFact['fixState'];
  note: string | null;
  advisory: string | null;
  stated_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
}

export interface CvssTable {
  feed: FeedId;
  record: string;
  vulnerability: string;
  scorer: string;
  version: CvssFact['version'];
  vector: string;
  base_score: number;
}

export interface ThreatTable {
  feed: FeedId;
  record: string;
  vulnerability: string;
  threat: ThreatFact['threat'];
  probability: number | null;
  percentile: number | null;
  ransomware: boolean | null;
  ssvc: ColumnType<ThreatFact['ssvc'], string | null, string | null>;
  asserted_on: ColumnType<Date | string, string, string>;
  due_on: ColumnType<Date | string, string, string> | null;
  title: string | null;
  reference: string | null;
}

export interface VendorUpdateTable {
  feed: FeedId;
  record: string;
  id: string;
  product: string;
  title: string | null;
  supersedes: string[];
  fixed_build: string | null;
  restart: UpdateFact['restart'];
  type: string | null;
  published_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  url: string | null;
  known_issues: boolean;
}

export interface SoftwareTable {
  id: Generated<number>;
  ecosystem: string;
  release: string;
  name: string;
  version: string;
  arch: string;
  source: string;
  source_version: string;
  origin: Generated<'' | 'third_party' | 'unknown'>;
  vendor: Generated<string>;
  module: Generated<string>;
  updates: Generated<string>;
  package: string;
  statement_source: string;
  kernel: boolean;
  first_seen_at: Time;
}

export interface SoftwareVerdictTable {
  software_id: number;
  vulnerability: string;
  verdict: 'vulnerable' | 'undetermined';
  fix_state: string;
  fixed_version: string | null;
  evidence: Json<VerdictEvidence>;
  since: Time;
}

export interface AssetTable {
  id: Generated<number>;
  uid: string;
  hostname: string;
  mode: string;
  os: string;
  os_release: string;
  arch: string;
  public_key: string;
  agent_version: string;
  enrolled_at: Time;
  enrolled_by: string;
  retired_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  criticality_set: number | null;
  attributes: ColumnType<Record<string, string>, string | undefined, string>;
  software: Generated<number[]>;
  since: Generated<number[]>;
  // Written from what has passed the contract's schemas only, so read as what it says.
  digests: ColumnType<Static<typeof InventoryDigestsSchema> | null, string | null | undefined, string | null>;
  inventory_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  host: ColumnType<Static<typeof HostFacts> | null, string | null | undefined, string | null>;
  candidates: ColumnType<Static<typeof Candidate>[], string | undefined, string>;
  residue: ColumnType<Static<typeof Residue>[], string | undefined, string>;
  problems: ColumnType<{ code: string; message: string }[], string | undefined, string>;
}

export interface AssetContactTable {
  asset_id: number;
  last_seen_at: Time;
  next_check_in_seconds: Generated<number>;
}

export interface ChangeLogTable {
  xid: Generated<string>;
  sequence: Generated<BigInt | null>;
  asset_id: number;
  added: number[];
  removed: number[];
  at: Time;
}

export interface ExposureHistoryTable {
  id: Generated<string>;
  asset_id: number;
  software_id: number;
  vulnerability: string;
  opened_at: Time;
  closed_at: Time;
  evidence: Json<unknown>;
}

export interface AssetExposureTable {
  asset_id: number;
  inert: number[];
  next_kernel: number | null;
  stale_software: number[];
  stale_since: number[];
  stale_kind: string[];
  stale_reason: string[];
  undetermined: Json<Undetermined[]>;
  mitigations: string[];
  first_seen: Json<Record<string, number>>;
}

export interface TagTable {
  id: string;
  name: string;
  description: Generated<string>;
  parent: string | null;
  kind: 'list' | 'rule' | 'ranges';
  rule: string | null;
  ranges: string[] | null;
  members: Buffer;
  members_at: Time;
  created_by: string;
  created_at: Time;
  updated_at: Time;
}

export interface CriticalityRuleTable {
  id: string;
  name: string;
  position: number;
  query: string;
  criticality: number;
  created_by: string;
  created_at: Time;
  updated_at: Time;
}

export interface SlaRuleTable {
  id: string;
  name: string;
  position: number;
  definition: Json<Omit<SlaRule, 'name'>>;
  created_by: string;
  created_at: Time;
  updated_at: Time;
}

export interface RiskAcceptanceTable {
  id: string;
  scope: string;
  reason: string;
  owner: string;
  created_by: string;
  created_at: Time;
  starts_at: Time;
  expires_at: Time;
  warned_at: OptionalTime;
  expired_at: OptionalTime;
  revoked_at: OptionalTime;
  revoked_by: string | null;
  revoked_reason: string | null;
}

export interface ReportTable {
  id: string;
  name: string;
  description: Generated<string>;
  subject: Subject;
  query: string;
  sort: Json<{ by: string; descending: boolean }[]>;
  columns: string[];
  owner_kind: 'person' | 'token' | 'system';
  owner: string;
  shared: boolean;
  version: Generated<number>;
  created_at: Time;
  updated_at: Time;
  updated_by: string;
  query_since: Time;
  archived_at: OptionalTime;
}

export interface ReportCountTable {
  report_id: string;
  at: Time;
  items: number;
  assets: number;
  risk: number | null;
}

export interface FleetChangeTable {
  xid: Generated<string>;
  sequence: Generated<BigInt | null>;
  kind: 'asset' | 'software' | 'vulnerability' | 'tag' | 'criticality' | 'sla' | 'acceptance';
  ids: number[] | null;
  keys: string[] | null;
  at: Generated<Date>;
}

export interface PatchTable {
  id: string;
  ecosystem: string;
  release: string;
  package: string;
  version: string;
  known_since: Time;
  offered_since: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
}

export interface PatchJobTable {
  id: string;
  name: string;
  definition: Json<unknown>;
  created_by: string;
  created_at: Time;
  archived_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
}

export interface DeploymentTable {
  id: string;
  job_id: string;
  state: string;
  plan: Json<unknown>;
  plan_digest: string;
  plan_id: ColumnType<string | null, string | null | undefined, string | null>;
  created_by: string;
  created_at: Time;
  started_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  ended_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  pause_reasons: ColumnType<unknown, string | undefined, string>;
}

export interface TaskTable {
  id: string;
  deployment_id: string;
  ring: Generated<number>;
  asset_id: number;
  state: string;
  resume_state: string | null;
  reason: ColumnType<unknown, string | null, string | null>;
  generation: Generated<number>;
  action: Generated<string>;
  undoes_generation: ColumnType<number | null, number | null | undefined, number | null>;
  changed_generation: ColumnType<number | null, number | null | undefined, number | null>;
  sequence: BigInt | null;
  planned: Json<unknown>;
  signed_order: ColumnType<unknown, string | null, string | null>;
  signed_reboot: ColumnType<unknown, string | null | undefined, string | null>;
  reboot_after: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  missed_window_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  progress_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  expires_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  offered_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  ended_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  updated_at: Time;
  event_index: Generated<number>;
  evidence: ColumnType<unknown, string | null, string | null>;
}

export interface RebootPlaceTable {
  task_id: string;
  asset_id: number;
  boot_id: string;
  taken_at: Time;
  back_by: Time;
  back_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
}

export interface TaskLogTable {
  task_id: string;
  generation: number;
  place: number;
  at: Time;
  step: string;
  text: string;
}

type MaybeTime = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
type MaybeJson = ColumnType<unknown, string | null | undefined, string | null>;

export interface JobRunTable {
  job_id: string;
  due_at: Time;
  taken_at: MaybeTime;
  deployment_id: string | null;
  outcome: MaybeJson;
}

export interface CalendarTable {
  id: string;
  name: string;
  description: Generated<string>;
  everywhere: boolean;
  zone: string;
  source: string;
  created_by: string;
  created_at: Time;
  changed_at: Time;
}

export interface PatchDenialTable {
  id: string;
  pattern: string;
  reason: string;
  created_by: string;
  created_at: Time;
  lifted_by: string | null;
  lifted_at: MaybeTime;
}

export interface PlanTable {
  id: string;
  job_id: string;
  state: string;
  created_by: string;
  created_at: Time;
  ready_at: MaybeTime;
  deadline_at: Time;
  unanswered: Generated<string>;
  content: Json<unknown>;
  digest: string | null;
}

export interface SimulationTable {
  id: string;
  plan_id: string;
  asset_id: number;
  signed: Json<unknown>;
  asked_at: Time;
  answered_at: MaybeTime;
  result: MaybeJson;
  given_up: MaybeJson;
}

export interface DistributionPointTable {
  id: string;
  name: string;
  secret_digest: string;
  url: string;
  ranges: Json<unknown>;
  created_by: string;
  created_at: Time;
  last_seen_at: MaybeTime;
  status: MaybeJson;
  suspects: ColumnType<unknown, string | undefined, string>;
  removed_at: MaybeTime;
}

export interface TaskEventTable {
  task_id: string;
  ordinal: number;
  at: Time;
  from_state: string;
  to_state: string;
  source: string;
  message: string | null;
  detail: ColumnType<unknown, string | null, string | null>;
}

export interface AlertTable {
  id: string;
  kind: string;
  severity: string;
  subject_kind: string;
  subject: string;
  message: string;
  what_to_do: string;
  detail: ColumnType<unknown, string | null, string | null>;
  raised_at: Time;
  acknowledged_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
  acknowledged_by: string | null;
  deduplication_key: string;
}

export interface DistributionFileTable {
  url: string;
  sha256: string | null;
  bytes: BigInt;
  etag: string | null;
  last_modified: string | null;
  fetched_at: Time;
  last_used_at: Time;
}

export interface FeedSettingTable {
  feed: FeedId;
  enabled: boolean | null;
  url: string | null;
  interval_seconds: number | null;
  changed_by: string;
  changed_at: Time;
}

export interface FeedSyncTable {
  feed: FeedId;
  requested: ColumnType<unknown, string | null | undefined, string | null>;
  next_attempt_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
  attempted_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
  succeeded_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
  failures: Generated<number>;
  outcome: 'imported' | 'not_modified' | 'failed' | null;
  error_code: string | null;
  error: string | null;
  what_to_do: string | null;
  bytes: ColumnType<string, number | undefined, number>;
  seconds: number | null;
  refused_digest: string | null;
  confirmed_at: ColumnType<Date | null, Date | null | undefined, Date | null>;
  state: ColumnType<unknown, string | null | undefined, string | null>;
  state_version: string | null;
  phase: Generated<'idle' | 'downloading' | 'importing'>;
  progress_bytes: ColumnType<string, number | undefined, number>;
  progress_total: ColumnType<string | null, number | null | undefined, number | null>;
  progress_records: Generated<number>;
}

export interface FeedDownloadTable {
  url: string;
  feed: FeedId;
  sha256: string;
  bytes: BigInt;
  etag: string | null;
  last_modified: string | null;
  fetched_at: Time;
}

export interface FeedFileTable {
  feed: FeedId;
  name: string;
  ordinal: number;
  sha256: string;
  bytes: BigInt;
  url: string | null;
  published_at: ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
}

export interface BundleKeyTable {
  public_key: string;
  name: string;
  added_by: string;
  added_at: Time;
}

export interface Database {
  user: UserTable;
  session: SessionTable;
  account: AccountTable;
  verification: VerificationTable;
  token: TokenTable;
  server_key: ServerKeyTable;
  audit_event: AuditEventTable;
  feed: FeedTable;
  feed_record: FeedRecordTable;
  feed_rejection: FeedRejectionTable;
  advisory: AdvisoryTable;
  vulnerability: VulnerabilityTable;
  statement: StatementTable;
  cvss: CvssTable;
  threat: ThreatTable;
  vendor_update: VendorUpdateTable;
  software: SoftwareTable;
  software_verdict: SoftwareVerdictTable;
  asset: AssetTable;
  asset_contact: AssetContactTable;
  change_log: ChangeLogTable;
  exposure_history: ExposureHistoryTable;
  asset_exposure: AssetExposureTable;
  tag: TagTable;
  criticality_rule: CriticalityRuleTable;
  sla_rule: SlaRuleTable;
  risk_acceptance: RiskAcceptanceTable;
  report: ReportTable;
  report_count: ReportCountTable;
  fleet_change: FleetChangeTable;
  patch: PatchTable;
  patch_job: PatchJobTable;
  deployment: DeploymentTable;
  task: TaskTable;
  task_event: TaskEventTable;
  task_log: TaskLogTable;
  reboot_place: RebootPlaceTable;
  job_run: JobRunTable;
  calendar: CalendarTable;
  patch_denial: PatchDenialTable;
  plan: PlanTable;
  simulation: SimulationTable;
  distribution_point: DistributionPointTable;
  alert: AlertTable;
  distribution_file: DistributionFileTable;
  feed_setting: FeedSettingTable;
  feed_sync: FeedSyncTable;
  feed_download: FeedDownloadTable;
  feed_file: FeedFileTable;
  bundle_key: BundleKeyTable;
}
