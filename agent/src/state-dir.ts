import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { Type, type Static, type TSchema } from '@fixpoint/contract/schema.ts';
import { AgentMode, ServerKey } from '@fixpoint/contract/agent.ts';
import { describeProblems, parseJson } from '@fixpoint/contract/parse.ts';
import { AgentFailure, codeOf } from './failure.ts';
import { createKeyPem, readIdentity, type Identity } from './identity.ts';
import { isAlive, readStartTicks } from './process.ts';

/** What the agent keeps between runs: /var/lib/fixpoint-agent, root's alone. */

export const defaultStateDir = '/var/lib/fixpoint-agent';

/** Who this host is to its server; written once, at enrolment. */
export const Enrolment = Type.Object(
  {
    format: Type.Literal(1),
    asset_id: Type.String({ format: 'uuid' }),
    server_url: Type.String(),
    server_key: ServerKey,
    mode: AgentMode,
    enrolled_at: Type.String(),
  },
  { additionalProperties: false },
);
export type Enrolment = Static<typeof Enrolment>;

/** Makes the folder (0700) and those above it. */
export function prepareStateDir(dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  chmodSync(dir, 0o700);
}

/** Writes a file so that after a power cut it is either whole or as before. Mode 0600 unless told otherwise. */
export function writeFileAtomically(path: string, text: string, mode = 0o600): void {
  const temporary = `${path}.tmp`;
  rmSync(temporary, { force: true });
  const file = openSync(temporary, 'wx', mode);
  try {
    // Unlike writeSync, it writes all or throws: a full disk must not leave a half in place of the whole.
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/** Makes names in a folder durable. */
export function syncFolder(dir: string): void {
  const folder = openSync(dir, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

/** Text of a file; null when there is none. */
export function readTextIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return null;
    throw error;
  }
}

/** A JSON file of the state; null when there is none; AgentFailure `state_corrupt` when it is not what was written. */
export function readStateFile<S extends TSchema>(path: string, schema: S): Static<S> | null {
  const text = readTextIfThere(path);
  if (text === null) return null;
  const parsed = parseJson(schema, text);
  if (parsed.ok) return parsed.value;
  throw new AgentFailure(
    'state_corrupt',
    `${path} is not what the agent wrote: ${describeProblems(parsed.problems)}`,
    'Restore the file, or remove the state folder and enrol this host again.',
  );
}

const enrolmentFile = 'enrolment.json';

export function readEnrolment(dir: string): Enrolment | null {
  return readStateFile(join(dir, enrolmentFile), Enrolment);
}

export function writeEnrolment(dir: string, enrolment: Enrolment): void {
  writeFileAtomically(join(dir, enrolmentFile), `${JSON.stringify(enrolment, null, 2)}\n`);
}

/** This host's key pair, made on first use. */
export function loadIdentity(dir: string): Identity {
  const path = join(dir, 'key.pem');
  let pem = readTextIfThere(path);
  if (pem === null) {
    pem = createKeyPem();
    writeFileAtomically(path, pem);
  }
  try {
    return readIdentity(pem);
  } catch (error) {
    throw new AgentFailure(
      'key_unreadable',
      `${path} holds no Ed25519 key`,
      'Remove the state folder and enrol this host again.',
      { cause: error },
    );
  }
}

/** Takes the folder for this process. AgentFailure `already_running` when another agent holds it. */
export function lockStateDir(dir: string): () => void {
  const path = join(dir, 'agent.lock');
  const mine = `${path}.${String(process.pid)}`;
  writeFileAtomically(mine, `${String(process.pid)} ${readStartTicks(process.pid) ?? '0'}\n`);
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        linkSync(mine, path);
        return () => {
          rmSync(path, { force: true });
        };
      } catch (error) {
        if (codeOf(error) !== 'EEXIST') throw error;
      }
      const [pid, ticks] = (readTextIfThere(path) ?? '').trim().split(' ');
      if (isAlive(Number(pid), ticks ?? '')) {
        throw new AgentFailure(
          'already_running',
          `another agent (process ${String(pid)}) runs on ${dir}`,
          'Stop that one first, or give this one a --state of its own.',
        );
      }
      rmSync(path, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
  throw new AgentFailure('already_running', `${path} cannot be taken`, 'Remove the file if no agent runs.');
}
