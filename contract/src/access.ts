import { Type, type Static } from 'typebox';
import { oneOf } from './enum.ts';

/** Who may do what. One table, used by the server's guard, the CLI's messages and the UI's disabled buttons. */

export const roles = ['administrator', 'operator', 'viewer'] as const;
export type Role = (typeof roles)[number];

export const permissions = [
  /** Assets, findings, patches, jobs, deployments, alerts, feeds. */
  'read',
  'audit.read',
  'asset.write',
  'tag.write',
  'enrolment.write',
  'knowledge.write',
  'job.write',
  'deployment.act',
  /** Calendars of times in which nothing is done. */
  'calendar.write',
  'alert.write',
  /** Reports of one's own, for oneself or for all to see. */
  'report.write',
  /** Changing the shared reports of others. */
  'report.administer',
  /** Tokens for tools. */
  'token.write',
  'people.write',
  /** Accepting risk: findings that are left unfixed on purpose. */
  'risk.accept',
  /** Rules for criticality and for when findings are due. */
  'rule.write',
  /** Distribution points near the hosts. */
  'distribution.write',
] as const;
export type Permission = (typeof permissions)[number];

export const permissionsOfRole: Readonly<Record<Role, readonly Permission[]>> = {
  administrator: permissions,
  operator: [
    'read',
    'audit.read',
    'asset.write',
    'tag.write',
    'job.write',
    'deployment.act',
    'calendar.write',
    'alert.write',
    'report.write',
  ],
  viewer: ['read'],
};

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const permission = oneOf(permissions);

/** POST /api/v1/sign-in (no credentials needed). */
export const SignInRequest = Type.Object(
  {
    email: Type.String({ minLength: 3, maxLength: 254 }),
    password: Type.String({ minLength: 1, maxLength: 256 }),
  },
  closed,
);
/** The session goes to browsers as an http-only cookie; the same value works as `Authorization: Bearer` for the CLI. */
export const SignInResponse = Type.Object(
  {
    session: Type.String(),
    expires_at: time,
    person: Type.Object({ email: Type.String(), name: Type.String(), role: oneOf(roles) }, closed),
  },
  closed,
);
export type SignInResponse = Static<typeof SignInResponse>;

/** GET /api/v1/me */
export const Me = Type.Object(
  {
    kind: oneOf(['person', 'token'] as const),
    name: Type.String(),
    role: Type.Union([oneOf(roles), Type.Null()]),
    permissions: Type.Array(permission),
  },
  closed,
);
export type Me = Static<typeof Me>;

/** POST /api/v1/tokens → TokenCreated; GET /api/v1/tokens → { items: Token[] }; DELETE /api/v1/tokens/:id (revokes) */
export const TokenRequest = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 100 }),
    permissions: Type.Array(permission, { minItems: 1 }),
    expires_in_days: Type.Integer({ minimum: 1, maximum: 3650 }),
  },
  closed,
);
export type TokenRequest = Static<typeof TokenRequest>;
export const Token = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    kind: oneOf(['tool', 'enrolment'] as const),
    name: Type.String(),
    permissions: Type.Array(permission),
    uses_left: Type.Union([Type.Integer(), Type.Null()]),
    tags: Type.Array(Type.String()),
    created_by: Type.String(),
    created_at: time,
    expires_at: time,
    revoked_at: Type.Union([time, Type.Null()]),
    last_used_at: Type.Union([time, Type.Null()]),
  },
  closed,
);
export type Token = Static<typeof Token>;
/** The secret is in this answer and nowhere else, ever. */
export const TokenCreated = Type.Object({ token: Token, secret: Type.String() }, closed);
export type TokenCreated = Static<typeof TokenCreated>;

/** POST /api/v1/enrolment-tokens → TokenCreated with kind `enrolment` */
export const EnrolmentTokenRequest = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 100 }),
    uses: Type.Integer({ minimum: 1, maximum: 100_000 }),
    expires_in_minutes: Type.Integer({ minimum: 1, maximum: 525_600 }),
    tags: Type.Array(Type.String({ maxLength: 63 }), { maxItems: 50 }),
  },
  closed,
);
export type EnrolmentTokenRequest = Static<typeof EnrolmentTokenRequest>;

/** POST /api/v1/people; GET /api/v1/people → { items: Person[] } */
export const PersonRequest = Type.Object(
  {
    email: Type.String({ format: 'email', maxLength: 254 }),
    name: Type.String({ minLength: 1, maxLength: 100 }),
    role: oneOf(roles),
    password: Type.String({ minLength: 12, maxLength: 256 }),
  },
  closed,
);
export type PersonRequest = Static<typeof PersonRequest>;
export const Person = Type.Object(
  { id: Type.String(), email: Type.String(), name: Type.String(), role: oneOf(roles), created_at: time },
  closed,
);
export type Person = Static<typeof Person>;
