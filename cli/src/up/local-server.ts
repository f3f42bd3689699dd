import { mkdirSync, readFileSync } from 'node:fs';
import { readConfig } from '@fixpoint/server/config.ts';
import { startServer } from '@fixpoint/server/main.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { codeOf } from '../output/stream.ts';

/** The server as `fixpoint up` runs it: in this process, so that killing one kills both, and the next start finds no half. */
export interface LocalServer {
  readonly url: string;
  readonly administrator: { readonly email: string; readonly password: string } | null;
  readonly operatorToken: string;
  readonly operatorTokenFile: string;
  stop(): Promise<void>;
}

export async function startLocalServer(data: string): Promise<LocalServer> {
  // The terminal is for people: what the server logs about each request is not, warnings are.
  const read = readConfig({ FIXPOINT_LOG_LEVEL: 'warn', ...process.env, FIXPOINT_DATA: data });
  if (!read.ok) {
    throw new Failure(
      exitCodes.usage,
      'configuration',
      'the configuration is wrong',
      'Correct these environment variables.',
      read.problems.map(({ variable, message }) => ({ path: variable, message })),
    );
  }
  makeFolder(data);
  try {
    const server = await startServer({ config: read.config });
    return {
      url: server.url,
      administrator: server.administrator,
      operatorToken: readFileSync(server.operatorTokenFile, 'utf8').trim(),
      operatorTokenFile: server.operatorTokenFile,
      stop: () => server.stop(),
    };
  } catch (error) {
    throw asFailure(error, read.config);
  }
}

function makeFolder(data: string): void {
  try {
    mkdirSync(data, { recursive: true, mode: 0o755 });
  } catch (error) {
    throw new Failure(
      exitCodes.usage,
      'data_folder',
      `the data folder ${data} cannot be made (${codeOf(error)})`,
      'Name another one with --data or FIXPOINT_DATA, or run as an account that may make it.',
    );
  }
}

/** What stops a server from starting, in words; anything else is a fault and stays as it is. */
function asFailure(error: unknown, config: { readonly host: string; readonly port: number }): unknown {
  if (!(error instanceof Error)) return error;
  const code = codeOf(error);
  const where = `${config.host}:${String(config.port)}`;
  if (code === 'EADDRINUSE') {
    return new Failure(
      exitCodes.fault,
      'address_in_use',
      `something listens at ${where} already`,
      'Stop it, or choose another address with --listen 127.0.0.1:8421.',
    );
  }
  if (code === 'EACCES' || code === 'EADDRNOTAVAIL') {
    return new Failure(
      exitCodes.fault,
      'address_not_available',
      `this account cannot listen at ${where} (${code})`,
      'Choose another address with --listen, such as 127.0.0.1:8420.',
    );
  }
  if ('whatToDo' in error && typeof error.whatToDo === 'string') {
    return new Failure(exitCodes.fault, code, error.message, error.whatToDo);
  }
  return error;
}
