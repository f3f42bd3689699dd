import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import type { Static } from 'typebox';
import type { EnrollRequest } from '@fixpoint/contract/agent.ts';
import { inventoryDigests } from '@fixpoint/core/inventory/digest.ts';
import type { HostFacts, InstalledPackage, Inventory } from '@fixpoint/core/inventory/inventory.ts';
import { createEnrolmentToken } from '../auth/commands.ts';
import { rawPublicKey } from '../auth/keys.ts';
import type { TestApp } from '../test-app.ts';

type Response = Awaited<ReturnType<TestApp['app']['inject']>>;

/** The agent's side of the protocol, for tests of the server's: it signs for real and reports what it is told to. */
export interface TestAgent {
  readonly uid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: string;
  session(): Promise<{ authorization: string }>;
  post(path: string, payload: object): Promise<Response>;
  report(inventory: Inventory): Promise<Response>;
}

export const signed = (key: KeyObject, text: string) =>
  sign(null, Buffer.from(text), key).toString('base64url');

export function enrolment(
  secret: string,
  keys: { readonly privateKey: KeyObject; readonly publicKey: KeyObject },
  changes: Partial<Static<typeof EnrollRequest>> = {},
): Static<typeof EnrollRequest> {
  return {
    public_key: rawPublicKey(keys.publicKey),
    hostname: 'web-1',
    os: 'debian',
    os_release: '12',
    arch: 'amd64',
    agent_version: '0.1.0',
    mode: 'manage',
    proof: signed(keys.privateKey, `fixpoint-enroll-v1\n${secret.slice(4).split('.')[0] ?? ''}`),
    ...changes,
  };
}

/** A fresh enrolment token, as pasted. */
export async function enrolmentToken(
  test: TestApp,
  changes: { uses?: number; expires_in_minutes?: number; tags?: string[] } = {},
): Promise<{ id: string; secret: string }> {
  const created = await createEnrolmentToken(
    test.context,
    { kind: 'system', name: 'test' },
    {
      name: 'test hosts',
      uses: 1,
      expires_in_minutes: 60,
      tags: [],
      ...changes,
    },
  );
  if (!created.ok) throw new Error(created.message);
  return { id: created.value.token.id, secret: created.value.secret };
}

/** An enrolled host. */
export async function testAgent(
  test: TestApp,
  changes: Partial<Static<typeof EnrollRequest>> = {},
): Promise<TestAgent> {
  const { secret } = await enrolmentToken(test);
  const keys = generateKeyPairSync('ed25519');
  const enrolled = await test.app.inject({
    method: 'POST',
    url: '/agent/v1/enroll',
    headers: { authorization: `Bearer ${secret}` },
    payload: enrolment(secret, keys, changes),
  });
  if (enrolled.statusCode !== 201) throw new Error(enrolled.body);
  const uid: string = enrolled.json().asset_id;
  let open: { authorization: string } | null = null;
  const agent: TestAgent = {
    uid,
    privateKey: keys.privateKey,
    publicKey: rawPublicKey(keys.publicKey),
    async session() {
      const { challenge } = (
        await test.app.inject({ method: 'POST', url: '/agent/v1/challenge', payload: { asset_id: uid } })
      ).json();
      const opened = await test.app.inject({
        method: 'POST',
        url: '/agent/v1/session',
        payload: {
          asset_id: uid,
          challenge,
          signature: signed(keys.privateKey, `fixpoint-session-v1\n${uid}\n${challenge}`),
        },
      });
      if (opened.statusCode !== 200) throw new Error(opened.body);
      return { authorization: `Bearer ${opened.json().session}` };
    },
    async post(path, payload) {
      open ??= await agent.session();
      return await test.app.inject({ method: 'POST', url: path, headers: open, payload });
    },
    report: async (inventory) =>
      await agent.post('/agent/v1/inventory', {
        collected_at: test.clock.now().toISOString(),
        digests: inventoryDigests(inventory),
        ...inventory,
      }),
  };
  return agent;
}

export const installed = (name: string, version: string, source = name): InstalledPackage => ({
  name,
  arch: 'amd64',
  version,
  source,
  source_version: version,
});

export const hostFacts: HostFacts = {
  hostname: 'web-1',
  os: 'debian',
  os_release: '12',
  os_title: 'Debian GNU/Linux 12 (bookworm)',
  arch: 'amd64',
  addresses: ['192.0.2.1'],
  boot_id: 'b1',
  booted_at: '2026-03-01T00:00:00.000Z',
  running_kernel: '6.1.0-25-amd64',
  kernels: [],
  machine: 'container',
  reboot_required: false,
  reboot_required_by: [],
  held: [],
  units: [{ name: 'nginx.service', state: 'active' }],
};

export function inventoryOf(
  packages: readonly InstalledPackage[],
  changes: Partial<Inventory> = {},
): Inventory {
  return { packages, candidates: [], host: hostFacts, residue: [], ...changes };
}
