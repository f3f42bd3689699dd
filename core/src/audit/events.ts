/** The closed list of what can stand in the audit trail. `subject_kind` is the noun before the dot unless it says otherwise. */
export const auditEvents = [
  'server.started',
  'person.created',
  'person.removed',
  'person.password_changed',
  'person.signed_in',
  'person.sign_in_refused',
  'token.created',
  'token.revoked',
  'enrolment_token.created',
  'enrolment_token.revoked',
  'asset.enrolled',
  'asset.enrolment_refused',
  'asset.retired',
  'asset.inventory_changed',
  'asset.order_refused',
  'tag.created',
  'tag.deleted',
  'tag.assets_added',
  'tag.assets_removed',
  'feed.imported',
  'feed.failed',
  'feed.recovered',
  'feed.setting_changed',
  'feed.sync_requested',
  'feed.bundle_exported',
  'feed.bundle_imported',
  'feed.bundle_refused',
  'feed.bundle_key_added',
  'feed.bundle_key_removed',
  'finding.opened',
  'finding.status_changed',
  'finding.closed',
  'patch.correlated',
  'job.created',
  'job.archived',
  'deployment.created',
  'deployment.started',
  'deployment.paused',
  'deployment.resumed',
  'deployment.halted',
  'deployment.cancelled',
  'deployment.completed',
  'task.offered',
  'task.state_changed',
  'task.verified',
  'task.ended',
  'report.created',
  'report.changed',
  'report.archived',
  'report.exported',
  'alert.raised',
  'alert.acknowledged',
] as const;
export type AuditEventName = (typeof auditEvents)[number];

export type ActorKind = 'person' | 'token' | 'agent' | 'system';

/** Who does something: a person's e-mail address, a token's name, an asset's id, or a part of the system. */
export interface Actor {
  readonly kind: ActorKind;
  readonly name: string;
}
