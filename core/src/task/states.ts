/** The states of one asset's part of a deployment, and the only ways between them. */

export const taskStates = [
  'queued',
  'offered',
  'downloading',
  'staged',
  'waiting_for_window',
  'installing',
  'installed',
  'restart_pending',
  'reboot_pending',
  'rebooting',
  'verifying',
  'succeeded',
  'failed',
  'rolling_back',
  'rolled_back',
  'skipped',
  'cancelled',
  'expired',
  'unreachable',
] as const;
export type TaskState = (typeof taskStates)[number];

export const endedTaskStates = [
  'succeeded',
  'failed',
  'rolled_back',
  'skipped',
  'cancelled',
  'expired',
] as const;

/** States that the agent itself reports while it works on a task. */
export const reportedTaskStates = [
  'downloading',
  'staged',
  'waiting_for_window',
  'installing',
  'installed',
  'restart_pending',
  'reboot_pending',
  'rebooting',
  'verifying',
  'rolling_back',
  'failed',
] as const;
export type ReportedTaskState = (typeof reportedTaskStates)[number];

/** Why a task failed; each has its sentence and what to do in `reasons.ts`. */
export const taskFailures = [
  'not_remediated',
  'order_refused',
  'plan_differs',
  'version_not_available',
  'download_failed',
  'hash_mismatch',
  'disk_full',
  'lock_held',
  'repository_unreachable',
  'signature_invalid',
  'dependency_conflict',
  'maintainer_script_failed',
  'timeout',
  'restart_failed',
  'mitigation_failed',
  'action_failed',
  'health_failed',
  'host_policy',
  'clock_skew',
  'reboot_refused',
  'reboot_failed',
  'snapshot_failed',
  'nothing_to_roll_back_to',
  'rollback_failed',
  'package_manager_broken',
  'agent_error',
] as const;
export type TaskFailure = (typeof taskFailures)[number];

/** Why an agent does not obey an order. */
export const orderRefusals = [
  'signature_invalid',
  'key_unknown',
  'malformed',
  'other_asset',
  'expired',
  'issued_in_future',
  'replayed',
  'assess_only',
  'versions_differ',
  'downgrade',
  'host_policy',
  'nothing_kept',
  'not_awaited',
] as const;
export type OrderRefusal = (typeof orderRefusals)[number];
