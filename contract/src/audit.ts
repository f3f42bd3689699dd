import { Type, type Static } from 'typebox';
import { oneOf } from './enum.ts';
import { ListQuery } from './list.ts';

const closed = { additionalProperties: false } as const;
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

/** GET /api/v1/audit?subject=&event=&vulnerability=&limit=&after= → List(AuditEvent), oldest first. `vulnerability` tells a CVE's story: what names it, and all that happened to the jobs, deployments and tasks that do. */
export const AuditQuery = Type.Object(
  {
    ...ListQuery,
    subject: Type.Optional(Type.String({ maxLength: 255 })),
    event: Type.Optional(Type.String({ maxLength: 64 })),
    vulnerability: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
  },
  closed,
);
export const AuditEvent = Type.Object(
  {
    sequence: Type.Integer({ minimum: 1 }),
    at: Type.String({ format: 'date-time' }),
    actor_kind: oneOf(['person', 'token', 'agent', 'system'] as const),
    actor: Type.String(),
    event: Type.String(),
    subject_kind: Type.String(),
    subject: Type.String(),
    reason: orNull(Type.String()),
    before: Type.Unknown(),
    after: Type.Unknown(),
    previous_hash: Type.String(),
    hash: Type.String(),
  },
  closed,
);
export type AuditEvent = Static<typeof AuditEvent>;

/** GET /api/v1/audit/verify. GET /api/v1/audit/export streams the events as JSON lines for `fixpoint audit verify FILE`, offline. */
export const AuditVerification = Type.Object(
  {
    ok: Type.Boolean(),
    events: Type.Integer(),
    head: orNull(Type.String()),
    first_bad: orNull(Type.Object({ sequence: Type.Integer(), problem: Type.String() }, closed)),
  },
  closed,
);
export type AuditVerification = Static<typeof AuditVerification>;

/** GET /api/v1/alerts?open=true → List(Alert); POST /api/v1/alerts/:id/acknowledge */
export const Alert = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    kind: Type.String(),
    severity: oneOf(['info', 'warning', 'critical'] as const),
    subject_kind: Type.String(),
    subject: Type.String(),
    message: Type.String(),
    what_to_do: Type.String(),
    detail: Type.Unknown(),
    raised_at: Type.String({ format: 'date-time' }),
    acknowledged_at: orNull(Type.String({ format: 'date-time' })),
    acknowledged_by: orNull(Type.String()),
  },
  closed,
);
export type Alert = Static<typeof Alert>;

/** GET /health (no credentials). */
export const Health = Type.Object(
  { status: oneOf(['ok', 'starting', 'failing'] as const), version: Type.String() },
  closed,
);
