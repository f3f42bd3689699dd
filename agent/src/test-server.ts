import { generateKeyPairSync, randomBytes, randomUUID, sign } from 'node:crypto';
import * as http from 'node:http';
import type { Static, TSchema } from '@fixpoint/contract/schema.ts';
import { applyPackageDelta, inventoryDigests, sameDigests } from '@fixpoint/core/inventory/digest.ts';
import type { Inventory } from '@fixpoint/core/inventory/inventory.ts';
import {
  ChallengeRequest,
  CheckInRequest,
  EnrollRequest,
  RefusalReport,
  SessionRequest,
  TaskEventsRequest,
  TaskLogRequest,
  type TaskEvent,
} from '@fixpoint/contract/agent.ts';
import { type Order, type SignedOrder } from '@fixpoint/contract/order.ts';
import { InventoryReport } from '@fixpoint/contract/inventory.ts';
import { parseShape } from '@fixpoint/contract/parse.ts';
import { systemClock, toIso } from './clock.ts';
import { keyFingerprint, verifySignature } from './identity.ts';

/**
 * The other side of the contract, for tests: one asset, real keys, real HTTP, every body checked by its schema, and a plain
 * HTTP proxy for apt. Not part of the agent.
 */
export interface TestServer {
  readonly url: string;
  readonly token: string;
  readonly assetId: string;
  readonly inventory: () => Inventory | null;
  readonly events: TaskEvent[];
  readonly refusals: RefusalReport[];
  readonly checkIns: CheckInRequest[];
  readonly reports: InventoryReport[];
  readonly proxied: { readonly url: string; readonly authorization: string | undefined }[];
  readonly sessionsOpened: () => number;
  /** Calls answered with `failWith`. */
  readonly failedCalls: () => number;
  /** What the next check-ins deliver. */
  orders: SignedOrder[];
  cancelled: string[];
  nextCheckInSeconds: number;
  /** Called while a check-in waits for its answer. */
  duringCheckIn: () => void;
  /** Answers every call with this status while set. */
  failWith: number | null;
  sign(order: Order | string): SignedOrder;
  /** Enrols by this token too, whatever its secret. */
  acceptToken(token: string): void;
  forgetSessions(): void;
  forgetInventory(): void;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}
const refuse = (status: number, code: string, message = code): Answer => ({
  status,
  body: { error: { code, message, what_to_do: 'see the test' } },
});

export async function startTestServer(
  host = '127.0.0.1',
  log: (line: string) => void = () => undefined,
): Promise<TestServer> {
  const keys = generateKeyPairSync('ed25519');
  const serverKey = keys.publicKey.export({ format: 'jwk' }).x ?? '';
  const secret = randomBytes(32).toString('base64url');
  const token = `fxe_${secret}.${keyFingerprint(serverKey)}`;
  const assetId = randomUUID();
  let agentKey: string | null = null;
  const tokens = new Set([token]);
  let challenge = '';
  let sessions = new Set<string>();
  let sessionsOpened = 0;
  let failedCalls = 0;
  let inventory: Inventory | null = null;

  const server = http.createServer((request, response) => {
    if (request.url?.startsWith('http://') === true) {
      proxy(request, response);
      return;
    }
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      let answer: Answer;
      try {
        const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
        answer = handle(request.url ?? '', body, request.headers.authorization ?? '');
      } catch (error) {
        answer = refuse(500, 'test_server_failed', String(error));
      }
      if (answer.status !== 200)
        log(`${String(request.url)} ${String(answer.status)} ${JSON.stringify(answer.body)}`);
      response.writeHead(answer.status, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer.body));
    });
  });

  function handle(path: string, body: unknown, authorization: string): Answer {
    if (test.failWith !== null) failedCalls++;
    if (test.failWith !== null) return refuse(test.failWith, 'failing_on_purpose');
    const bearer = authorization.replace(/^Bearer /u, '');
    const withBody = <S extends TSchema>(schema: S, use: (value: Static<S>) => Answer): Answer => {
      const parsed = parseShape(schema, body);
      return parsed.ok ? use(parsed.value) : refuse(400, 'body_invalid', JSON.stringify(parsed.problems));
    };
    if (path === '/agent/v1/enroll') {
      return withBody(EnrollRequest, (value: EnrollRequest) => {
        if (!tokens.has(bearer)) return refuse(401, 'enrolment_token_invalid');
        if (!verifySignature(value.public_key, `fixpoint-enroll-v1\n${secret}`, value.proof)) {
          return refuse(400, 'proof_invalid');
        }
        agentKey = value.public_key;
        return {
          status: 200,
          body: { asset_id: assetId, server_key: { key_id: 'k1', public_key: serverKey } },
        };
      });
    }
    if (path === '/agent/v1/challenge') {
      return withBody(ChallengeRequest, () => {
        challenge = randomUUID();
        return { status: 200, body: { challenge } };
      });
    }
    if (path === '/agent/v1/session') {
      return withBody(SessionRequest, (value: SessionRequest) => {
        const text = `fixpoint-session-v1\n${assetId}\n${challenge}`;
        if (
          agentKey === null ||
          value.challenge !== challenge ||
          !verifySignature(agentKey, text, value.signature)
        ) {
          return refuse(401, 'signature_invalid');
        }
        challenge = '';
        const session = randomUUID();
        sessions.add(session);
        sessionsOpened++;
        return { status: 200, body: { session, expires_at: toIso(systemClock.now() + 3_600_000) } };
      });
    }
    if (!sessions.has(bearer)) return refuse(401, 'session_unknown');
    switch (path) {
      case '/agent/v1/check-in':
        return withBody(CheckInRequest, (value: CheckInRequest) => {
          test.checkIns.push(value);
          test.duringCheckIn();
          return {
            status: 200,
            body: {
              server_time: toIso(systemClock.now()),
              next_check_in_seconds: test.nextCheckInSeconds,
              inventory: inventory === null ? null : inventoryDigests(inventory),
              orders: test.orders,
              cancelled_tasks: test.cancelled,
            },
          };
        });
      case '/agent/v1/task-log':
        return withBody(TaskLogRequest, (value: TaskLogRequest) => ({
          status: 200,
          body: { next: value.first + value.pieces.length, full: false },
        }));
      case '/agent/v1/inventory':
        return withBody(InventoryReport, (value: InventoryReport) => takeInventory(value));
      case '/agent/v1/task-events':
        return withBody(TaskEventsRequest, (value: TaskEventsRequest) => {
          for (const event of value.events) {
            if (test.events.some((e) => e.index === event.index)) continue;
            test.events.push(event);
            log(`event ${JSON.stringify(event)}`);
          }
          const last = test.events.at(-1);
          return {
            status: 200,
            body: {
              accepted_index: last?.index ?? -1,
              ended: last?.state === 'failed' || last?.state === 'verifying',
            },
          };
        });
      case '/agent/v1/refusals':
        return withBody(RefusalReport, (value: RefusalReport) => {
          test.refusals.push(value);
          return { status: 200, body: {} };
        });
      default:
        return refuse(404, 'not_found');
    }
  }

  function takeInventory(report: InventoryReport): Answer {
    test.reports.push(report);
    let packages = report.packages ?? inventory?.packages;
    if (report.package_delta !== undefined) {
      const applied = applyPackageDelta(inventory?.packages ?? [], report.package_delta);
      if (!applied.ok) return refuse(409, applied.code);
      ({ packages } = applied);
    }
    const candidates = report.candidates ?? inventory?.candidates;
    const hostFacts = report.host ?? inventory?.host;
    const residue = report.residue ?? inventory?.residue;
    if (
      packages === undefined ||
      candidates === undefined ||
      hostFacts === undefined ||
      residue === undefined
    ) {
      return refuse(409, 'inventory_base_unknown');
    }
    const next: Inventory = { packages, candidates, host: hostFacts, residue };
    if (!sameDigests(inventoryDigests(next), report.digests))
      return refuse(409, 'inventory_base_unknown', 'digests differ');
    inventory = next;
    return { status: 200, body: { digests: report.digests } };
  }

  function proxy(request: http.IncomingMessage, response: http.ServerResponse): void {
    const url = request.url ?? '';
    test.proxied.push({ url, authorization: request.headers['proxy-authorization'] });
    const basic = Buffer.from(
      (request.headers['proxy-authorization'] ?? '').replace(/^Basic /u, ''),
      'base64',
    ).toString();
    const [user, password] = basic.split(':');
    if (user !== assetId || password === undefined || !sessions.has(password)) {
      response.writeHead(407, { 'proxy-authenticate': 'Basic realm="fixpoint"' }).end();
      return;
    }
    const { 'proxy-authorization': _, ...headers } = request.headers;
    http
      .get(url, { headers }, (upstream) => {
        response.writeHead(upstream.statusCode ?? 502, upstream.headers);
        upstream.pipe(response);
      })
      .on('error', () => response.writeHead(502).end());
  }

  await new Promise<void>((resolve) => {
    server.listen(0, host, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the test server has no port');
  const url = `http://${host}:${String(address.port)}`;
  const test: TestServer = {
    url,
    token,
    assetId,
    inventory: () => inventory,
    events: [],
    refusals: [],
    checkIns: [],
    reports: [],
    proxied: [],
    sessionsOpened: () => sessionsOpened,
    failedCalls: () => failedCalls,
    orders: [],
    cancelled: [],
    nextCheckInSeconds: 0.3,
    duringCheckIn: () => undefined,
    failWith: null,
    sign(order) {
      const payload = typeof order === 'string' ? order : JSON.stringify(order);
      const signature = sign(null, Buffer.from(`fixpoint-order-v1\n${payload}`), keys.privateKey).toString(
        'base64url',
      );
      return { key_id: 'k1', payload, signature };
    },
    acceptToken(more) {
      tokens.add(more);
    },
    forgetSessions() {
      sessions = new Set();
    },
    forgetInventory() {
      inventory = null;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
  return test;
}
