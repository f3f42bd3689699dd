/** For tests only: right input for every route, to be made wrong, and a server that must come through unchanged. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { sql } from 'kysely';
import { Value } from 'typebox/value';
import { ApiError } from '@fixpoint/contract/error.ts';
import { inventoryDigests } from '@fixpoint/core/inventory/digest.ts';
import { routesOf, type KnownRoute } from './app.ts';
import {
  enrolment,
  enrolmentToken,
  installed,
  inventoryOf,
  testAgent,
  type TestAgent,
} from './asset/test-agent.ts';
import { rooms } from './rooms.ts';
import { testApp, type TestApp } from './test-app.ts';

type Response = Awaited<ReturnType<TestApp['app']['inject']>>;
export type Headers = Record<string, string>;
type Credential = { authorization: string };

const pointCounts = Object.fromEntries(
  ['files', 'bytes', 'limit_bytes', 'requests', 'served_bytes', 'fetched_bytes', 'from_cache']
    .concat(['damaged', 'evicted', 'not_kept', 'resumed'])
    .map((name) => [name, 0]),
);
const nobody = '00000000-0000-4000-8000-000000000000';
export const digest = 'a'.repeat(64);
export const digests = { packages: digest, candidates: digest, host: digest, residue: digest };
export const inventory = inventoryOf([
  installed('openssl', '3.0.11-1~deb12u1'),
  installed('bash', '5.2.15-2'),
]);
export const report = {
  collected_at: '2026-03-02T10:00:00.000Z',
  digests: inventoryDigests(inventory),
  ...inventory,
};

/** A body that is right in shape for each route that takes one. A route that is missing here fails the test. */
export const bodies: Readonly<Record<string, () => object>> = {
  'POST /api/v1/sign-in': () => ({ email: 'nobody@example.org', password: 'not the password' }),
  'POST /api/v1/me/password': () => ({
    current_password: 'not the password',
    new_password: 'long enough to be one',
  }),
  'POST /api/v1/people': () => ({
    email: 'new@example.org',
    name: 'New',
    role: 'viewer',
    password: 'long enough to be one',
  }),
  'POST /api/v1/tokens': () => ({ name: 'tool', permissions: ['read'], expires_in_days: 1 }),
  'POST /api/v1/enrolment-tokens': () => ({ name: 'hosts', uses: 1, expires_in_minutes: 5, tags: ['web'] }),
  'POST /agent/v1/enroll': () =>
    enrolment(`fxe_${'a'.repeat(43)}.${'b'.repeat(22)}`, generateKeyPairSync('ed25519')),
  'POST /agent/v1/distribution-ticket': () => ({ point: 'berlin' }),
  'POST /api/v1/distribution-points': () => ({
    name: 'berlin',
    url: 'http://10.0.0.2:8421',
    ranges: ['10.0.0.0/8'],
  }),
  'PATCH /api/v1/distribution-points/:id': () => ({ ranges: ['10.0.0.0/8'] }),
  'POST /point/v1/heartbeat': () => ({
    status: {
      version: '0.1.0',
      ...pointCounts,
      prestage: { wanted: 0, ready: 0, failed: 0, unresolved: 0 },
    },
    rechecked: [],
  }),
  'POST /agent/v1/challenge': () => ({ asset_id: nobody }),
  'POST /agent/v1/session': () => ({ asset_id: nobody, challenge: 'fxc.x', signature: 'A'.repeat(86) }),
  'POST /agent/v1/check-in': () => ({
    agent_version: '0.1.0',
    boot_id: 'b1',
    digests,
    tasks: [{ task_id: nobody, generation: 1, state: 'installing' }],
    problems: [{ code: 'dpkg_status_truncated', message: 'it ends too early' }],
  }),
  'POST /agent/v1/inventory': () => structuredClone(report),
  'POST /agent/v1/task-events': () => ({
    task_id: nobody,
    generation: 1,
    events: [{ index: 0, at: '2026-03-02T10:00:00.000Z', state: 'downloading', detail: { exit_code: 0 } }],
  }),
  'POST /agent/v1/simulations': () => ({
    simulation_id: nobody,
    at: '2026-03-02T10:00:00.000Z',
    upgraded: [{ name: 'openssl', arch: 'amd64', from: '1', to: '2' }],
    added: [{ name: 'libnew1', arch: 'amd64', version: '1' }],
    removed: [{ name: 'old', arch: 'amd64', version: '1' }],
    download_bytes: 1,
    disk_bytes: -1,
    disk_free_bytes: 1,
    restarts: ['nginx.service'],
    reboot: false,
    rollback: { possible: false, reasons: [{ package: 'openssl', message: 'gone' }], snapshots: 'btrfs' },
    obstacles: [{ kind: 'other', message: 'why' }],
    remarks: [],
    output: 'Inst openssl',
  }),
  'POST /agent/v1/task-log': () => ({
    task_id: nobody,
    generation: 1,
    first: 0,
    pieces: [{ at: '2026-03-02T10:00:00.000Z', step: 'install', text: 'Setting up openssl\n' }],
  }),
  'POST /agent/v1/refusals': () => ({
    reason: 'expired',
    message: 'too late',
    task_id: nobody,
    payload_digest: digest,
    at: '2026-03-02T10:00:00.000Z',
  }),
  'POST /api/v1/tasks/:id/actions': () => ({ action: 'cancel', reason: 'not now' }),
  'POST /api/v1/assets/:id/retire': () => ({ reason: 'gone' }),
  'PUT /api/v1/assets/:id/criticality': () => ({ criticality: 4, reason: 'the shop' }),
  'PUT /api/v1/assets/:id/attributes': () => ({ set: { role: 'web' }, remove: ['room'] }),
  'POST /api/v1/assets/attributes': () => ({
    query: 'os = debian',
    set: { role: 'web' },
    remove: ['room'],
    expected_assets: 1,
  }),
  'POST /api/v1/criticality-rules': () => ({ name: 'web', query: 'hostname = web-*', criticality: 4 }),
  'POST /api/v1/criticality-rules/preview': () => ({
    rules: [{ name: 'web', query: 'hostname = web-*', criticality: 4 }],
  }),
  'PUT /api/v1/criticality-rules/order': () => ({ order: [nobody] }),
  'PATCH /api/v1/criticality-rules/:id': () => ({ name: 'db', query: 'hostname = db-*', criticality: 5 }),
  'PUT /api/v1/sla-rules': () => ({
    version: 'a'.repeat(16),
    rules: [
      {
        name: 'grave',
        when: { score_at_least: 50, exploited: true, any_tag: ['web'] },
        days: 3,
        kev_due_date: 'if_earlier',
        reopened: 'from_reopening',
      },
    ],
  }),
  'POST /api/v1/acceptances': () => ({
    scope: 'package = openssl',
    reason: 'not reachable from outside',
    owner: 'ada@example.org',
    starts_at: '2026-04-01T00:00:00.000Z',
    expires_at: '2026-09-01T00:00:00.000Z',
  }),
  'POST /api/v1/acceptances/preview': () => ({ scope: 'package = openssl' }),
  'POST /api/v1/acceptances/:id/revoke': () => ({ reason: 'reachable after all' }),
  'POST /api/v1/acceptances/:id/extend': () => ({
    expires_at: '2026-10-01T00:00:00.000Z',
    reason: 'the vendor is late',
  }),
  'POST /api/v1/reports': () => ({
    name: 'attacked',
    description: 'what is attacked',
    subject: 'finding',
    query: 'exploited',
    sort: [{ by: 'risk', descending: true }],
    columns: ['vulnerability', 'asset.hostname'],
    shared: true,
  }),
  'PATCH /api/v1/reports/:id': () => ({
    version: 1,
    name: 'attacked now',
    description: '',
    query: 'exploited and status = open',
    sort: [{ by: 'risk', descending: true }],
    columns: ['vulnerability'],
    shared: false,
  }),
  'POST /api/v1/reports/:id/copy': () => ({ name: 'mine' }),
  'POST /api/v1/query/check': () => ({ subject: 'asset', text: 'os = debian' }),
  'POST /api/v1/query/complete': () => ({ subject: 'asset', text: 'os = deb', at: 8 }),
  'POST /api/v1/tags': () => ({ name: 'new', description: 'a tag' }),
  'PATCH /api/v1/tags/:name': () => ({ name: 'db', description: 'databases', rule: 'hostname = db-*' }),
  'POST /api/v1/tags/preview': () => ({ tag: 'web', definition: { rule: 'hostname = web-*' } }),
  'PUT /api/v1/tags/:name/assets': () => ({ assets: ['web-1'] }),
  'DELETE /api/v1/tags/:name/assets': () => ({ assets: ['web-1'] }),
  'POST /api/v1/jobs': () => ({
    name: 'job',
    trigger: 'manual',
    patches: ['debian:12/openssl@3.0.22-1~deb12u2'],
    criteria: { query: 'exploited', everything_newer: true },
    exclude_packages: ['postgresql-*'],
    pins: [{ package: 'nginx', version: '1.22.1-9' }],
    target: {
      tags: ['web'],
      tags_all: ['web'],
      query: 'os = debian',
      ranges: ['10.0.0.0/8'],
      assets: ['web-1'],
      exclude: ['web-2'],
      exclude_tags: [],
      exclude_query: 'hostname = db-*',
    },
    units: 'restart',
    reboot: { mode: 'prompt', deferrals_maximum: 1, limits: [{ tag: 'web', at_once: 1 }] },
    rollback: { on: 'any_failure', required: true },
    health: { probes: [{ kind: 'http', url: 'http://127.0.0.1/', timeout_seconds: 5 }] },
    install_timeout_seconds: 600,
    expire_after_seconds: 600,
    concurrency: 1,
  }),
  'POST /api/v1/jobs/:id/start': () => ({ plan_digest: digest, plan_id: nobody, reason: 'now' }),
  'POST /api/v1/jobs/:id/plans': () => ({ wait_seconds: 60, unanswered: 'keep' }),
  'POST /api/v1/plans/:id/discard': () => ({ reason: 'not now' }),
  'POST /api/v1/patch-denials': () => ({ pattern: '*/openssl@3.0.22-*', reason: 'breaks TLS' }),
  'POST /api/v1/patch-denials/:id/lift': () => ({ reason: 'fixed' }),
  'POST /api/v1/calendars': () => ({
    name: 'freeze',
    description: 'no changes',
    everywhere: false,
    zone: 'Europe/Berlin',
    entries: [{ from: '2026-12-20T00:00:00.000Z', until: '2027-01-04T00:00:00.000Z', title: 'Year end' }],
  }),
  'PUT /api/v1/calendars/:name': () => ({
    description: 'no changes',
    everywhere: false,
    zone: 'Europe/Berlin',
    ics: 'BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n',
  }),
  'POST /api/v1/schedule/preview': () => ({
    schedule: { zone: 'Europe/Berlin', starts: { kind: 'weekly', days: ['sat'], at: '22:00' } },
    windows: [
      {
        name: 'night',
        zone: 'asset',
        opens: { kind: 'rrule', rule: 'FREQ=DAILY;INTERVAL=2', local: '2026-03-02T22:00' },
        duration_minutes: 240,
        minimum_remaining_minutes: 30,
      },
    ],
    calendars: ['freeze'],
    asset_zone: 'Europe/Berlin',
    count: 10,
  }),
  'PUT /api/v1/feeds/:id/setting': () => ({
    enabled: false,
    url: 'https://mirror.example.org/feed',
    interval_seconds: 3600,
  }),
  'POST /api/v1/feed-bundle/keys': () => ({ public_key: 'A'.repeat(43), name: 'headquarters' }),
  'POST /api/v1/deployments/:id/actions': () => ({ action: 'pause', reason: 'wait' }),
};

/** Takes a file as its publisher publishes it, so JSON is not what it expects; it has tests of its own below. */
export const importRoute = 'POST /api/v1/feeds/:id/import';
/** Takes an archive. */
export const bundleRoute = 'POST /api/v1/feed-bundle';

export interface Target extends TestApp {
  readonly agent: TestAgent;
  readonly credentials: {
    readonly administrator: Credential;
    readonly viewer: Credential;
    readonly person: Credential;
    readonly agent: Credential;
    readonly enrolment: Credential;
  };
  /** Credentials that open a route. */
  headersFor(route: KnownRoute): Headers;
  routesWithBody(): KnownRoute[];
  /** Everything that is stored, in few words: a hash of all rows of each table. */
  stored(): Promise<Record<string, string>>;
  /** Fails when anything that is stored is another afterwards. */
  changesNothing(work: () => Promise<void>): Promise<void>;
}

/** A server with one of everything that bad input could damage, and credentials of every kind. */
export async function badInputTarget(): Promise<Target> {
  const test = await testApp(rooms, { config: { repositories: '' } });
  const agent = await testAgent(test);
  const administrator = await test.bearer('administrator');
  const send = async (url: string, payload: object, headers: Headers = administrator) => {
    const response = await test.app.inject({ method: 'POST', url, headers, payload });
    if (response.statusCode >= 300) throw new Error(response.body);
    return response;
  };
  await agent.report(inventory);
  await send('/api/v1/tags', { name: 'web' });
  const person = {
    email: 'ada@example.org',
    name: 'Ada',
    role: 'administrator',
    password: 'a long password',
  };
  await send('/api/v1/people', person);
  const signedIn = await send('/api/v1/sign-in', { email: person.email, password: person.password }, {});
  const credentials = {
    administrator,
    viewer: await test.bearer('viewer'),
    person: { authorization: `Bearer ${signedIn.json().session}` },
    agent: await agent.session(),
    enrolment: { authorization: `Bearer ${(await enrolmentToken(test)).secret}` },
  };
  // so that a first use does not count as a change
  for (const headers of [credentials.administrator, credentials.viewer, credentials.person]) {
    await test.app.inject({ url: '/api/v1/me', headers });
  }
  const stored = async () => {
    const { rows: tables } = await sql<{ name: string }>`
      select table_name as name from information_schema.tables
      where table_schema = 'public' and table_type = 'BASE TABLE' order by 1`.execute(test.context.db);
    const hashes: Record<string, string> = {};
    for (const { name } of tables) {
      const { rows } = await sql<{ hash: string }>`
        select md5(coalesce(string_agg(t::text, e'\n' order by t::text), '')) as hash
        from ${sql.table(name)} as t`.execute(test.context.db);
      hashes[name] = rows[0]?.hash ?? '';
    }
    return hashes;
  };
  return {
    ...test,
    agent,
    credentials,
    headersFor({ access, url }) {
      if (access === 'public') return {};
      if (access === 'agent') return credentials.agent;
      return url === '/api/v1/me/password' ? credentials.person : credentials.administrator;
    },
    routesWithBody: () => routesOf(test.app).filter((route) => Object.hasOwn(bodies, named(route))),
    stored,
    async changesNothing(work) {
      const before = await stored();
      await work();
      assert.deepEqual(await stored(), before);
    },
  };
}

/** What would be the server's own and nobody else's. */
const internal =
  /\n\s+at |\.ts:\d|node_modules|postgres|kysely|relation "|syntax error at|stack|typebox|fastify|FST_/i;

/** The answer must be an ApiError without internals; answers its code. */
export function expectApiError(response: Response, what: string): string {
  const where = `${what} → ${String(response.statusCode)} ${response.body.slice(0, 300)}`;
  assert.ok(response.statusCode >= 400 && response.statusCode < 500, where);
  assert.ok(Value.Check(ApiError, response.json()), where);
  const { error } = Value.Parse(ApiError, response.json());
  assert.match(error.code, /^[a-z][a-z0-9_]+$/, where);
  assert.ok(error.message !== '' && error.what_to_do !== '', where);
  assert.doesNotMatch(response.body, internal, where);
  return error.code;
}

export const named = ({ method, url }: Pick<KnownRoute, 'method' | 'url'>) => `${method} ${url}`;
export const addressOf = (url: string, part = nobody) =>
  url.replaceAll(/:[a-z_]+/gi, part).replaceAll('*', part);
