import { mkdirSync } from 'node:fs';
import { readByteSize } from '@fixpoint/server/distribution/bucket.ts';
import {
  PointRefused,
  runPoint,
  ServerSilent,
  type RunningPoint,
} from '@fixpoint/server/distribution/standalone.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { codeOf } from '../output/stream.ts';

/** The options of `fixpoint distribution-point run`, as they were typed. */
export interface PointOptions {
  readonly server: string;
  readonly token: string;
  readonly listen: string;
  readonly data: string;
  readonly limit: string;
  readonly bandwidth?: string;
  readonly clientBandwidth?: string;
  readonly logLevel: string;
  readonly version: string;
}

/** Starts a point in this process. Throws Failure with what to do. */
export async function startPointHere(options: PointOptions): Promise<RunningPoint> {
  const server = URL.canParse(options.server) ? new URL(options.server) : null;
  if (server === null || !/^https?:$/u.test(server.protocol)) {
    throw usage(`${options.server} is not the address of a server`, 'Give --server as http://HOST:PORT.');
  }
  const [, host, port] = /^(\[[0-9A-Fa-f:.]+\]|[^:\s]+):(\d{1,5})$/u.exec(options.listen) ?? [];
  if (host === undefined || port === undefined || Number(port) > 65_535) {
    throw usage(`${options.listen} is not HOST:PORT`, 'Give --listen as 0.0.0.0:8421.');
  }
  try {
    mkdirSync(options.data, { recursive: true, mode: 0o700 });
    return await runPoint({
      server,
      secret: options.token,
      host: host.replace(/^\[|\]$/gu, ''),
      port: Number(port),
      dataFolder: options.data,
      limitBytes: bytes(options.limit, '--limit'),
      bytesPerSecond: options.bandwidth === undefined ? null : bytes(options.bandwidth, '--bandwidth'),
      clientBytesPerSecond:
        options.clientBandwidth === undefined ? null : bytes(options.clientBandwidth, '--client-bandwidth'),
      version: options.version,
      logLevel: options.logLevel,
    });
  } catch (error) {
    throw asFailure(error, options);
  }
}

const usage = (message: string, whatToDo: string): Failure =>
  new Failure(exitCodes.usage, 'usage', message, whatToDo);

function bytes(text: string, option: string): number {
  const size = readByteSize(text);
  if (size === null || size < 1024)
    throw usage(`${option} ${text} is not a size`, 'Write it as 20G or 500M.');
  return size;
}

function asFailure(error: unknown, options: PointOptions): unknown {
  if (error instanceof PointRefused) {
    return new Failure(
      exitCodes.authentication,
      'point_refused',
      error.message,
      'Register the point at the server (fixpoint distribution add) and start it with the secret shown there.',
    );
  }
  if (error instanceof ServerSilent) {
    return new Failure(
      exitCodes.unreachable,
      'server_unreachable',
      `${options.server}: ${error.message}`,
      'Check the address, and what stands between. For its first start the point needs the server.',
    );
  }
  const code = codeOf(error);
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EROFS') {
    return new Failure(
      exitCodes.fault,
      'disk_full',
      `this program cannot write to ${options.data} (${code})`,
      'Make room there, or choose another --data.',
    );
  }
  if (code === 'EADDRINUSE' || code === 'EACCES' || code === 'EADDRNOTAVAIL') {
    return new Failure(
      exitCodes.fault,
      'address_not_available',
      `this program cannot listen at ${options.listen} or write to ${options.data} (${code})`,
      'Choose another --listen or --data.',
    );
  }
  if (['ECONNREFUSED', 'ENOTFOUND', 'ETIMEDOUT', 'EHOSTUNREACH', 'ECONNRESET'].includes(code)) {
    return new Failure(
      exitCodes.unreachable,
      'server_unreachable',
      `no answer from ${options.server} (${code})`,
      'Check the address. For its first start the point needs the server.',
    );
  }
  return error;
}
