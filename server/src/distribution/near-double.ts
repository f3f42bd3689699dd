/** For tests only: points near the hosts, before a server with its own. */
import { Value } from 'typebox/value';
import { DistributionPoint, TicketResponse } from '@fixpoint/contract/distribution.ts';
import type { AgentDouble } from '../deployment/agent-double.ts';
import { makeLogger } from '../log.ts';
import { afterTest, temporaryFolder } from './http-double.ts';
import type { Point } from './point-double.ts';
import { startPoint, type RunningPoint } from './standalone.ts';

/** Everything that goes on by itself goes on often. */
export const often = { checkInSeconds: 0.3 };

export type Body = Record<string, unknown>;

/** What an administrator asks of the server. */
export async function ask(
  point: Point,
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  url: string,
  body?: unknown,
) {
  const headers = await point.fleet.bearer('administrator');
  const response = await point.fleet.app.inject({
    method,
    url,
    headers,
    ...(body === undefined ? {} : { payload: Object(body) }),
  });
  const answer: Body = Object(response.json());
  return { status: response.statusCode, body: answer };
}

export interface Near {
  readonly id: string;
  readonly secret: string;
  readonly folder: string;
  readonly running: RunningPoint;
  start(): Promise<RunningPoint>;
}

/** Registers a point for 10.0.0.0/8 and starts it. */
export async function nearPoint(server: Point, changes: Body = {}): Promise<Near> {
  const created = await ask(server, 'POST', '/api/v1/distribution-points', {
    name: 'berlin',
    url: 'http://10.0.0.2:8421',
    ranges: ['10.0.0.0/8'],
    ...changes,
  });
  if (created.status !== 201) throw new Error(JSON.stringify(created.body));
  const folder = temporaryFolder();
  const secret = String(created.body.secret);
  const start = async (): Promise<RunningPoint> => {
    const running = await startPoint({
      server: new URL(`http://127.0.0.1:${String(server.port)}`),
      secret,
      host: '127.0.0.1',
      port: 0,
      dataFolder: folder,
      limitBytes: 1e9,
      bytesPerSecond: null,
      clientBytesPerSecond: null,
      version: 'test',
      clock: server.fleet.clock,
      log: makeLogger('silent'),
    });
    afterTest(() => running.stop());
    return running;
  };
  return { id: String(Object(created.body.point).id), secret, folder, running: await start(), start };
}

export async function pointIn(server: Point, id: string): Promise<DistributionPoint> {
  const { body } = await ask(server, 'GET', '/api/v1/distribution-points');
  const items: DistributionPoint[] = Object(body.items);
  const found = items.find((one) => one.id === id);
  if (found === undefined) throw new Error('it is not there');
  return Value.Parse(DistributionPoint, found);
}

export async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} did not come`);
}

export async function ticketOf(agent: AgentDouble, point = 'berlin'): Promise<string> {
  const answer = await agent.post('/agent/v1/distribution-ticket', agent.session, { point });
  return Value.Parse(TicketResponse, answer).ticket;
}

export const basic = (user: string, password: string) => ({
  'proxy-authorization': `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});
