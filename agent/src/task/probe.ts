import * as http from 'node:http';
import * as https from 'node:https';
import { BlockList, connect, isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import { readFileSync } from 'node:fs';
import { messageOf } from '../failure.ts';
import { reportableOutput } from '../execute/apt-output.ts';
import type { HostPolicyFile } from '../policy.ts';
import { runCommand } from '../run-command.ts';
import type { ProbeResult } from './health-compare.ts';
import { lastLine, ownerCommand } from './owner-command.ts';
import type { Task } from './task.ts';

/** The looks that an order may ask for. None changes anything; none goes farther than the host itself and what its policy names. */

export type Probe = NonNullable<Task['order']['health']>['probes'][number];

/** As it is written in reports; without what stands in a URL before `@`. */
export function nameOfProbe(probe: Probe): string {
  switch (probe.kind) {
    case 'unit_active':
      return `unit_active ${probe.unit}`;
    case 'tcp':
      return `tcp ${bracketed(probe.host)}:${String(probe.port)}`;
    case 'http':
      return `http ${reportableOutput(probe.url, [])}`;
    case 'command':
      return `command ${probe.name}`;
  }
}

/** One look. Never throws, and takes little longer than the probe's own time. */
export async function runProbe(
  probe: Probe,
  task: Pick<Task, 'order'>,
  policy: HostPolicyFile,
  phase: 'baseline' | 'health',
): Promise<ProbeResult> {
  const answer = await look(probe, task, policy, phase);
  return { probe: nameOfProbe(probe), ...answer };
}

type Answer = Pick<ProbeResult, 'state' | 'message'>;
const ok = (message: string): Answer => ({ state: 'ok', message });
const failed = (message: string): Answer => ({ state: 'failed', message: message.slice(0, 500) });
const refused = (message: string): Answer => ({ state: 'refused', message });
const unknown = (message: string): Answer => ({ state: 'unknown', message: message.slice(0, 500) });

async function look(
  probe: Probe,
  task: Pick<Task, 'order'>,
  policy: HostPolicyFile,
  phase: 'baseline' | 'health',
): Promise<Answer> {
  switch (probe.kind) {
    case 'unit_active':
      return unitActive(probe.unit);
    case 'tcp': {
      const refusal = refusalToReach(probe.host, probe.port, policy);
      return refusal === null ? tcp(probe.host, probe.port, probe.timeout_seconds) : refused(refusal);
    }
    case 'http': {
      const url = URL.parse(probe.url);
      if (url === null) return refused('It is no URL.');
      const port = url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port);
      const refusal = refusalToReach(url.hostname, port, policy);
      return refusal === null ? await get(url, port, probe.status, probe.timeout_seconds) : refused(refusal);
    }
    case 'command':
      return command(probe.name, probe.timeout_seconds, task, policy, phase);
  }
}

/** Why a probe may not go there; null when it may. What a name leads to is not looked up: it is named by the owner, or it is not. */
export function refusalToReach(host: string, port: number, { policy }: HostPolicyFile): string | null {
  const bare = host.replace(/^\[|\]$/gu, '').toLowerCase();
  const targets = policy?.probe_targets.map((target) => target.toLowerCase()) ?? [];
  const named = new Set([bare, bracketed(bare)].flatMap((one) => [one, `${one}:${String(port)}`]));
  if (targets.some((target) => named.has(target))) return null;
  if (policy !== null && policy.problem !== null)
    return `The policy of the host cannot be read: ${policy.problem}`.slice(0, 500);
  if (isThisHost(bare)) return null;
  return `The policy of the host does not name ${bracketed(bare)}:${String(port)} as a target of probes.`;
}

function isThisHost(host: string): boolean {
  if (host === 'localhost') return true;
  const family = isIP(host);
  if (family === 0) return false;
  const own = new BlockList();
  own.addSubnet('127.0.0.0', 8, 'ipv4');
  own.addAddress('::1', 'ipv6');
  for (const { address, family: kind } of Object.values(networkInterfaces()).flatMap((list) => list ?? [])) {
    own.addAddress(address.replace(/%.*$/u, ''), kind === 'IPv6' ? 'ipv6' : 'ipv4');
  }
  return own.check(host.replace(/%.*$/u, ''), family === 6 ? 'ipv6' : 'ipv4');
}

function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

async function unitActive(unit: string): Promise<Answer> {
  const answer = await runCommand(['systemctl', 'is-active', '--', unit], { timeoutSeconds: 20 });
  const state = answer.stdout.trim().split('\n')[0] ?? '';
  if (answer.ok) return ok(state);
  if (answer.code !== 'command_failed' || state === '')
    return unknown(`systemd could not be asked: ${answer.message}`);
  return failed(`It is ${state}.`);
}

function tcp(host: string, port: number, timeoutSeconds: number): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = connect({ host: host.replace(/^\[|\]$/gu, ''), port });
    const end = (answer: Answer): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => {
      end(failed(`No connection within ${String(timeoutSeconds)} s.`));
    }, timeoutSeconds * 1000);
    socket.on('connect', () => {
      end(ok('It takes connections.'));
    });
    socket.on('error', (error) => {
      end(failed(`No connection: ${wordsOf(error)}.`));
    });
  });
}

const bodyBytesMaximum = 64 * 1024;

/** One GET; a redirect is an answer and is not followed, so that no probe goes where nobody let it. */
function get(url: URL, port: number, status: number | undefined, timeoutSeconds: number): Promise<Answer> {
  return new Promise((resolve) => {
    const secure = url.protocol === 'https:';
    const options: https.RequestOptions = {
      protocol: url.protocol,
      hostname: url.hostname.replace(/^\[|\]$/gu, ''),
      port,
      path: `${url.pathname}${url.search}`,
      method: 'GET',
      agent: false,
      headers: { host: url.host, 'user-agent': 'fixpoint-agent probe', connection: 'close' },
      ...(secure ? { ca: trustedAuthorities() } : {}),
    };
    const request = (secure ? https : http).request(options, (answer) => {
      const code = answer.statusCode ?? 0;
      const isWell = status === undefined ? code >= 200 && code <= 399 : code === status;
      let bytes = 0;
      const judge = (): void => {
        end(isWell ? ok(`It answered ${String(code)}.`) : failed(`It answered ${String(code)}.`));
      };
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > bodyBytesMaximum) judge();
      });
      answer.on('end', judge);
      answer.on('error', (error) => {
        end(failed(`The answer broke off: ${wordsOf(error)}.`));
      });
    });
    let ended = false;
    const end = (answer: Answer): void => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      request.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => {
      end(failed(`No whole answer within ${String(timeoutSeconds)} s.`));
    }, timeoutSeconds * 1000);
    request.on('error', (error) => {
      const words = wordsOf(error);
      const isTls =
        secure && /certificate|altname|self.signed|TLS|SSL|CERT|handshake|wrong version/iu.test(words);
      end(failed(isTls ? `TLS failed: ${words}.` : `No answer: ${words}.`));
    });
    request.end();
  });
}

/** The bundles of authorities that distributions keep; the first that is there. */
const bundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** Those that this host trusts, its owner's own among them; undefined (what is built in) where it keeps none. */
function trustedAuthorities(): string | undefined {
  for (const path of bundles) {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      // The next distribution's place.
    }
  }
  return undefined;
}

/** Several addresses of one name fail together; each has its own reason. */
function wordsOf(error: Error): string {
  const words =
    error instanceof AggregateError && error.errors.length > 0
      ? error.errors.map(messageOf).join('; ')
      : messageOf(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return (words === '' ? code : words.includes(code) ? words : `${words} (${code})`).slice(0, 300);
}

async function command(
  name: string,
  timeoutSeconds: number,
  task: Pick<Task, 'order'>,
  policy: HostPolicyFile,
  phase: 'baseline' | 'health',
): Promise<Answer> {
  const known = policy.probes.get(name);
  if (known === undefined) return refused(`The policy of the host knows no probe ${name}.`);
  const prepared = await ownerCommand(known, task, { FIXPOINT_PROBE: name, FIXPOINT_PHASE: phase });
  if (!prepared.ok) return unknown(prepared.message);
  const { argv, env, secrets } = prepared.value;
  const seconds = Math.min(timeoutSeconds, known.timeoutSeconds);
  // timeout ends what the command has started, too.
  const answer = await runCommand(['timeout', '-k', '2', String(seconds), ...argv], {
    timeoutSeconds: seconds + 5,
    maxOutputBytes: 1024 * 1024,
    env,
  });
  const line = lastLine(reportableOutput(`${answer.stdout}\n${answer.stderr}`, secrets), secrets);
  if (answer.ok) return ok(line);
  if (answer.exitCode === 124 || answer.exitCode === 137 || answer.code === 'command_timed_out')
    return failed(`It took longer than ${String(seconds)} s.`);
  if (answer.code === 'output_too_large') return failed('It wrote more than 1 MiB.');
  if (answer.exitCode === null || answer.exitCode === 126 || answer.exitCode === 127)
    return unknown(`It could not be run: ${line === '' ? answer.message : line}`);
  return failed(`It exited with ${String(answer.exitCode)}.${line === '' ? '' : ` Its last line: ${line}`}`);
}
