import type { CheckInResponse } from '@fixpoint/contract/agent.ts';
import {
  PointStatus,
  type DistributionPoint,
  type DistributionPointChange,
  type DistributionPointCreated,
  type DistributionPointRequest,
  type HeartbeatRequest,
  type HeartbeatResponse,
  type TicketResponse,
} from '@fixpoint/contract/distribution.ts';
import type { Actor } from '@fixpoint/core/audit/events.ts';
import { parseIpAddress, parseIpNetwork } from '@fixpoint/core/query/address.ts';
import type { Kysely } from 'kysely';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { ServerContext } from '../app.ts';
import { appendAudit } from '../audit/commands.ts';
import type { AgentIdentity } from '../auth/guard.ts';
import { hashSecret } from '../auth/tokens.ts';
import type { Context, Transact } from '../context.ts';
import type { Database } from '../database/tables.ts';
import { answer, refuse, type Answer } from '../refusal.ts';
import { transact } from '../transact.ts';
import {
  addressesOf,
  allPoints,
  insertPoint,
  lockPoint,
  pointByName,
  pointBySecret,
  updatePoint,
  type PointRow,
} from './store.ts';
import { issueTicket } from './ticket.ts';

/** Distribution points near the hosts, as the server knows them. */

const heartbeatSeconds = 30;
/** One that has missed three heartbeats is not handed out. */
const missedHeartbeats = 3;
const slackSeconds = 15;

/** How often a point is to tell of itself; as often as assets, where those do so more often (tests, small fleets). */
export function heartbeatEvery(context: Pick<ServerContext, 'config'>): number {
  return Math.min(heartbeatSeconds, context.config.checkInSeconds);
}

const Texts = Type.Array(Type.String());
const rangesOf = (row: PointRow): string[] => (Value.Check(Texts, row.ranges) ? row.ranges : []);

const Suspects = Type.Array(Type.Object({ url: Type.String(), asked_at: Type.String() }));
const suspectsOf = (row: PointRow): { url: string; asked_at: string }[] =>
  Value.Check(Suspects, row.suspects) ? row.suspects : [];

const isWorking = (row: PointRow, context: Pick<ServerContext, 'clock' | 'config'>): boolean =>
  row.last_seen_at !== null &&
  context.clock.now().getTime() - row.last_seen_at.getTime() <
    (heartbeatEvery(context) * missedHeartbeats + slackSeconds) * 1000;

function viewOf(row: PointRow, context: Pick<ServerContext, 'clock' | 'config'>): DistributionPoint {
  return {
    id: row.id,
    name: row.name,
    url: row.url,
    ranges: rangesOf(row),
    state: row.last_seen_at === null ? 'never_seen' : isWorking(row, context) ? 'working' : 'silent',
    created_by: row.created_by,
    created_at: row.created_at.toISOString(),
    last_seen_at: row.last_seen_at?.toISOString() ?? null,
    status: Value.Check(PointStatus, row.status) ? row.status : null,
    suspects: suspectsOf(row).map(({ url }) => url),
  };
}

function wrongRanges(ranges: readonly string[]): Answer<never> | null {
  const wrong = ranges.filter((range) => parseIpNetwork(range) === null);
  if (wrong.length === 0) return null;
  return refuse(
    422,
    'range_invalid',
    `not an address or a network: ${wrong.join(', ')}`,
    'write networks as 10.1.0.0/16, and single addresses as they are',
  );
}

const unknownPoint = (): Answer<never> =>
  refuse(
    404,
    'distribution_point_unknown',
    'there is no distribution point with this id',
    'list them: GET /api/v1/distribution-points',
  );

/** Registers a point; its secret is answered once. */
export async function createPoint(
  context: ServerContext,
  actor: Actor,
  request: DistributionPointRequest,
): Promise<Answer<DistributionPointCreated>> {
  const wrong = wrongRanges(request.ranges);
  if (wrong !== null) return wrong;
  const secret = `fxp_${Buffer.from(context.random.bytes(32)).toString('base64url')}`;
  return await transact(context.db, async (trx) => {
    if ((await pointByName(trx, request.name)) !== undefined) {
      return refuse(
        409,
        'distribution_point_exists',
        `there is a distribution point ${request.name} already`,
        'choose another name, or remove that one first',
      );
    }
    const row = await insertPoint(trx, {
      id: context.random.uuid(),
      name: request.name,
      secret_digest: hashSecret(secret),
      url: new URL(request.url).origin,
      ranges: JSON.stringify(request.ranges),
      created_by: actor.name,
      created_at: context.clock.now(),
    });
    const point = viewOf(row, context);
    await appendAudit(trx, context, {
      actor,
      event: 'distribution_point.created',
      subjectKind: 'distribution_point',
      subject: row.id,
      after: { name: point.name, url: point.url, ranges: point.ranges },
    });
    return answer({ point, secret });
  });
}

export async function listPoints(context: ServerContext): Promise<{ items: DistributionPoint[] }> {
  return { items: (await allPoints(context.db)).map((row) => viewOf(row, context)) };
}

export async function changePoint(
  context: ServerContext,
  actor: Actor,
  id: string,
  change: DistributionPointChange,
): Promise<Answer<DistributionPoint>> {
  const wrong = wrongRanges(change.ranges ?? []);
  if (wrong !== null) return wrong;
  return await transact(context.db, async (trx) => {
    const before = await lockPoint(trx, id);
    if (before === undefined) return unknownPoint();
    const after = viewOf(
      await updatePoint(trx, id, {
        ...(change.url === undefined ? {} : { url: new URL(change.url).origin }),
        ...(change.ranges === undefined ? {} : { ranges: change.ranges }),
      }),
      context,
    );
    await appendAudit(trx, context, {
      actor,
      event: 'distribution_point.changed',
      subjectKind: 'distribution_point',
      subject: id,
      before: { url: before.url, ranges: rangesOf(before) },
      after: { url: after.url, ranges: after.ranges },
    });
    return answer(after);
  });
}

/** From now on no host is sent to it, and its secret opens nothing. */
export async function removePoint(
  context: ServerContext,
  actor: Actor,
  id: string,
): Promise<Answer<DistributionPoint>> {
  return await transact(context.db, async (trx) => {
    const before = await lockPoint(trx, id);
    if (before === undefined) return unknownPoint();
    const row = await updatePoint(trx, id, { removedAt: context.clock.now() });
    await appendAudit(trx, context, {
      actor,
      event: 'distribution_point.removed',
      subjectKind: 'distribution_point',
      subject: id,
      before: { name: row.name, url: row.url, ranges: rangesOf(row) },
    });
    return answer(viewOf(row, context));
  });
}

/** The point that shows this secret; null when there is none. */
export async function pointOfSecret(context: Pick<Context, 'db'>, secret: string): Promise<PointRow | null> {
  if (!/^fxp_[A-Za-z0-9_-]{43}$/u.test(secret)) return null;
  return (await pointBySecret(context.db, hashSecret(secret))) ?? null;
}

/** Takes note of how a point is, and tells it what it is to do. */
export async function heartbeat(
  context: ServerContext,
  pointId: string,
  request: HeartbeatRequest,
  given: {
    readonly repositories: readonly string[];
    readonly wanted: readonly string[];
    readonly unresolved: number;
  },
): Promise<Answer<HeartbeatResponse>> {
  const { keys } = context;
  return await transact(context.db, async (trx) => {
    const found = await lockPoint(trx, pointId);
    if (found === undefined) return unknownPoint();
    const looked = new Set(request.rechecked.map(({ url }) => url));
    const suspects = suspectsOf(found).filter(({ url }) => !looked.has(url));
    const row = await updatePoint(trx, found.id, {
      seenAt: context.clock.now(),
      status: request.status,
      ...(looked.size === 0 ? {} : { suspects }),
    });
    for (const { url, outcome } of request.rechecked) {
      context.log.warn({ point: row.name, url, outcome }, 'a file that a host took for forged was looked at');
    }
    return answer({
      server_time: context.clock.now().toISOString(),
      next_heartbeat_seconds: heartbeatEvery(context),
      id: row.id,
      name: row.name,
      server_key: { key_id: keys.order.id, public_key: keys.order.publicKey },
      repositories: [...given.repositories],
      suspects: suspects.map(({ url }) => url).slice(0, 100),
      wanted: [...given.wanted],
      unresolved: given.unresolved,
    });
  });
}

/** Notes files that a point is to drop and to fetch again. */
export async function suspect(
  trx: Transact,
  context: Pick<Context, 'clock'>,
  point: PointRow,
  urls: readonly string[],
): Promise<void> {
  const known = suspectsOf(point);
  const added = urls
    .filter((url) => !known.some((one) => one.url === url))
    .map((url) => ({ url, asked_at: context.clock.now().toISOString() }));
  if (added.length > 0) await updatePoint(trx, point.id, { suspects: [...known, ...added].slice(-100) });
}

/** Which of these points is for a host with these addresses: the one with the narrowest range, then by name. */
export function nearest<Point extends { readonly ranges: readonly string[] }>(
  points: readonly Point[],
  addresses: readonly string[],
): Point | null {
  const own = addresses.map(parseIpAddress).filter((address) => address !== null);
  let best: { point: Point; size: bigint } | null = null;
  for (const point of points) {
    for (const text of point.ranges) {
      const range = parseIpNetwork(text);
      if (range === null) continue;
      const holds = own.some(
        ({ family, value }) => family === range.family && value >= range.first && value <= range.last,
      );
      // an IPv4 network is never narrower only for having fewer bits: a host has both, and either will do
      const size = range.last - range.first;
      if (holds && (best === null || size < best.size)) best = { point, size };
    }
  }
  return best?.point ?? null;
}

/** The working points with their ranges, for telling assets apart by address. */
export async function workingPoints(
  context: Pick<ServerContext, 'clock' | 'config'>,
  db: Kysely<Database>,
): Promise<
  { readonly id: string; readonly name: string; readonly url: string; readonly ranges: string[] }[]
> {
  return (await allPoints(db))
    .filter((row) => isWorking(row, context))
    .map((row) => ({ id: row.id, name: row.name, url: row.url, ranges: rangesOf(row) }));
}

/** What a check-in answers: the point that is near this asset, if there is one and it works. */
export async function pointOfAsset(
  context: ServerContext,
  assetId: number,
): Promise<Pick<CheckInResponse, 'distribution_point'>> {
  const points = await workingPoints(context, context.db);
  if (points.length === 0) return {};
  const point = nearest(points, await addressesOf(context.db, assetId));
  return point === null ? {} : { distribution_point: { url: point.url, name: point.name } };
}

/** What an agent shows to a point that it was sent to. */
export async function ticketFor(
  context: ServerContext,
  agent: AgentIdentity,
  name: string,
): Promise<Answer<TicketResponse>> {
  const point = (await allPoints(context.db)).find((one) => one.name === name);
  if (point === undefined) {
    return refuse(
      404,
      'distribution_point_unknown',
      `there is no distribution point ${name}`,
      'check in again: the answer names the point to use',
    );
  }
  const { ticket, expiresAt } = issueTicket(
    context.keys.order.privateKey,
    context.clock.now(),
    agent.uid,
    point.id,
  );
  return answer({ ticket, expires_at: expiresAt.toISOString() });
}
