import { Type, type Static } from 'typebox';
import { ServerKey } from './agent.ts';
import { oneOf } from './enum.ts';

/** Distribution points: what people ask of them, and what a point near the hosts says to the server. See docs/distribution.md. */

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time', maxLength: 40 });
const count = Type.Integer({ minimum: 0 });
const fileUrl = Type.String({ maxLength: 4_096 });

const pointName = Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,62}$' });
/** How hosts reach the point: only `http`, since package managers speak to it as to a proxy; what it carries is signed. */
const pointUrl = Type.String({ pattern: '^http://[^\\s/@?#]+/?$', maxLength: 500 });
/** `10.1.0.0/16`, or one address. */
const ranges = Type.Array(Type.String({ minLength: 1, maxLength: 64 }), { minItems: 1, maxItems: 100 });

/** POST /api/v1/distribution-points */
export const DistributionPointRequest = Type.Object({ name: pointName, url: pointUrl, ranges }, closed);
export type DistributionPointRequest = Static<typeof DistributionPointRequest>;
/** PATCH /api/v1/distribution-points/:id */
export const DistributionPointChange = Type.Object(
  { url: Type.Optional(pointUrl), ranges: Type.Optional(ranges) },
  { ...closed, minProperties: 1 },
);
export type DistributionPointChange = Static<typeof DistributionPointChange>;

/** Files that are fetched ahead for deployments that are running. */
export const Prestaged = Type.Object(
  {
    /** Files that are wanted, and of these, those that are there. */
    wanted: count,
    ready: count,
    failed: count,
    /** Packages of which nobody could say which file they are. */
    unresolved: count,
  },
  closed,
);
export type Prestaged = Static<typeof Prestaged>;

/** What a point keeps and has done since it started. */
const counts = {
  files: count,
  bytes: count,
  limit_bytes: count,
  requests: count,
  served_bytes: count,
  fetched_bytes: count,
  from_cache: count,
  damaged: count,
  evicted: count,
  not_kept: count,
  resumed: count,
  prestage: Prestaged,
};
/** GET /api/v1/distribution: the server's own point. */
export const DistributionStatus = Type.Object({ repositories: Type.Array(Type.String()), ...counts }, closed);
export type DistributionStatus = Static<typeof DistributionStatus>;

export const PointStatus = Type.Object({ version: Type.String({ maxLength: 100 }), ...counts }, closed);
export type PointStatus = Static<typeof PointStatus>;

export const pointStates = ['never_seen', 'working', 'silent'] as const;
export const DistributionPoint = Type.Object(
  {
    id: Type.String({ format: 'uuid' }),
    name: Type.String(),
    url: Type.String(),
    ranges: Type.Array(Type.String()),
    /** Hosts are sent to it while it works. */
    state: oneOf(pointStates),
    created_by: Type.String(),
    created_at: time,
    last_seen_at: Type.Union([time, Type.Null()]),
    status: Type.Union([PointStatus, Type.Null()]),
    /** Files that a host took for forged, and that the point has not looked at again yet. */
    suspects: Type.Array(Type.String()),
  },
  closed,
);
export type DistributionPoint = Static<typeof DistributionPoint>;
/** The secret is in this answer and nowhere else, ever. */
export const DistributionPointCreated = Type.Object(
  { point: DistributionPoint, secret: Type.String() },
  closed,
);
export type DistributionPointCreated = Static<typeof DistributionPointCreated>;

/** What came of looking again at a file that a host took for forged. */
export const recheckOutcomes = ['unchanged', 'replaced', 'gone', 'unknown'] as const;

/** POST /point/v1/heartbeat, `Authorization: Bearer fxp_…`. */
export const HeartbeatRequest = Type.Object(
  {
    status: PointStatus,
    rechecked: Type.Array(Type.Object({ url: fileUrl, outcome: oneOf(recheckOutcomes) }, closed), {
      maxItems: 100,
    }),
  },
  closed,
);
export type HeartbeatRequest = Static<typeof HeartbeatRequest>;
export const HeartbeatResponse = Type.Object(
  {
    server_time: time,
    next_heartbeat_seconds: Type.Number({ minimum: 0.2, maximum: 3_600 }),
    id: Type.String({ format: 'uuid' }),
    name: Type.String({ maxLength: 100 }),
    /** By which it knows tickets of agents. */
    server_key: ServerKey,
    /** It serves from these, and from nowhere else. */
    repositories: Type.Array(Type.String({ maxLength: 2_048 }), { maxItems: 1_000 }),
    /** Files to drop and to fetch again. */
    suspects: Type.Array(fileUrl, { maxItems: 100 }),
    /** Files to fetch ahead, and to keep. */
    wanted: Type.Array(fileUrl, { maxItems: 5_000 }),
    unresolved: count,
  },
  closed,
);
export type HeartbeatResponse = Static<typeof HeartbeatResponse>;

/**
 * POST /agent/v1/distribution-ticket: what an agent shows to a point near it, as password with its asset id as user. It opens
 * nothing but that point, so that a point which somebody has taken over learns nothing that the server would obey.
 */
export const TicketRequest = Type.Object({ point: Type.String({ maxLength: 100 }) }, closed);
export type TicketRequest = Static<typeof TicketRequest>;
export const TicketResponse = Type.Object(
  { ticket: Type.String({ maxLength: 500 }), expires_at: time },
  closed,
);
export type TicketResponse = Static<typeof TicketResponse>;
