import { arch, hostname } from 'node:os';
import {
  EnrollResponse,
  enrolmentTokenPattern,
  type AgentMode,
  type EnrollRequest,
} from '@fixpoint/contract/agent.ts';
import { toIso, type Clock } from './clock.ts';
import { readNativeArch, readOsRelease } from './collect/host.ts';
import { AgentFailure } from './failure.ts';
import { createHttpClient, readServerUrl } from './http-client.ts';
import { keyFingerprint } from './identity.ts';
import { read } from './session.ts';
import { loadIdentity, prepareStateDir, readEnrolment, writeEnrolment, type Enrolment } from './state-dir.ts';

export interface EnrollOptions {
  readonly server: string;
  readonly token: string;
  readonly mode: AgentMode;
  readonly stateDir: string;
}

/**
 * Makes this host known to a server and pins that server's key. A host that is enrolled at the same server in the same mode
 * already is left as it is, so the command can be repeated. Throws AgentFailure with the reason of a refusal.
 */
export async function enroll(
  options: EnrollOptions,
  version: string,
  clock: Clock,
): Promise<{ readonly enrolment: Enrolment; readonly already: boolean }> {
  const serverUrl = readServerUrl(options.server);
  const { secret, fingerprint } = readToken(options.token);
  prepareStateDir(options.stateDir);
  const earlier = readEnrolment(options.stateDir);
  if (earlier !== null) {
    if (earlier.server_url !== serverUrl) {
      throw new AgentFailure(
        'enrolled_elsewhere',
        `this host is enrolled at ${earlier.server_url} already`,
        `To move it, stop the agent, remove ${options.stateDir}, and enrol it again.`,
      );
    }
    if (earlier.mode === options.mode && keyFingerprint(earlier.server_key.public_key) === fingerprint) {
      return { enrolment: earlier, already: true };
    }
  }
  const identity = loadIdentity(options.stateDir);
  const os = readOsRelease('/');
  const request: EnrollRequest = {
    public_key: identity.publicKey,
    hostname: hostname().slice(0, 255),
    os: os.os,
    os_release: os.os_release,
    arch: (await readNativeArch()) || arch(),
    agent_version: version,
    mode: options.mode,
    proof: identity.sign(`fixpoint-enroll-v1\n${secret}`),
  };
  const client = createHttpClient(serverUrl, version);
  try {
    const answer = read(await client.post('/agent/v1/enroll', request, options.token), EnrollResponse);
    if (!answer.ok) {
      throw new AgentFailure(
        'enrolment_refused',
        `the server refused to enrol this host: ${answer.message} (${answer.code})`,
        'Make a new enrolment token on the server and try again with it.',
      );
    }
    const { asset_id: assetId, server_key: serverKey } = answer.value;
    if (keyFingerprint(serverKey.public_key) !== fingerprint) {
      throw new AgentFailure(
        'server_key_mismatch',
        'the server does not have the key that the token was made with; nothing was believed',
        'Check the --server address. If it is right, somebody may stand between this host and the server.',
      );
    }
    const enrolment: Enrolment = {
      format: 1,
      asset_id: assetId,
      server_url: serverUrl,
      server_key: serverKey,
      mode: options.mode,
      enrolled_at: toIso(clock.now()),
    };
    writeEnrolment(options.stateDir, enrolment);
    return { enrolment, already: false };
  } finally {
    client.close();
  }
}

/** Takes a token apart; see the contract for its form. */
export function readToken(token: string): { readonly secret: string; readonly fingerprint: string } {
  if (!new RegExp(enrolmentTokenPattern, 'u').test(token)) {
    throw new AgentFailure(
      'token_malformed',
      'the enrolment token is not one',
      'Copy the whole token as the server printed it: it starts with fxe_.',
    );
  }
  const [secret, fingerprint] = token.slice('fxe_'.length).split('.');
  if (secret === undefined || fingerprint === undefined)
    throw new Error('the pattern lets no other token through');
  return { secret, fingerprint };
}
