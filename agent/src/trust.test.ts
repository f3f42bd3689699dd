import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { InstallOrder, SignedOrder } from '@fixpoint/contract/order.ts';
import { policyFromText } from './policy.ts';
import { decideOrder, type TrustFacts } from './trust.ts';

const keys = generateKeyPairSync('ed25519');
const publicKey = keys.publicKey.export({ format: 'jwk' }).x ?? '';
const now = Date.parse('2026-11-22T12:00:00Z');
const assetId = '11111111-1111-4111-8111-111111111111';

const order: InstallOrder = {
  format: 1,
  action: 'install',
  asset_id: assetId,
  task_id: '22222222-2222-4222-8222-222222222222',
  deployment_id: '33333333-3333-4333-8333-333333333333',
  generation: 1,
  sequence: 7,
  issued_at: '2026-11-22T11:59:00Z',
  expires_at: '2026-11-22T13:00:00Z',
  packages: [
    { name: 'curl', arch: 'amd64', from: '7.88-1', to: '7.88-2', source: 'curl', source_version: '7.88-2' },
  ],
  units: 'restart',
  install_timeout_seconds: 60,
};

function signed(value: unknown, prefix = 'fixpoint-order-v1\n'): SignedOrder {
  const payload = typeof value === 'string' ? value : JSON.stringify(value);
  return {
    key_id: 'k1',
    payload,
    signature: sign(null, Buffer.from(prefix + payload), keys.privateKey).toString('base64url'),
  };
}

const facts: TrustFacts = {
  assetId,
  mode: 'manage',
  serverKey: { key_id: 'k1', public_key: publicKey },
  now,
  lastSequence: 6,
  installed: [{ name: 'curl', arch: 'amd64', version: '7.88-1', source: 'curl', source_version: '7.88-1' }],
  scheme: 'dpkg',
  policy: null,
  awaitsReboot: () => false,
  kept: () => null,
  isJournaled: () => false,
};

describe('an order', () => {
  test('that is right is obeyed', () => {
    expect(decideOrder(signed(order), facts)).toEqual({ ok: true, order });
  });

  const dccp = { kind: 'kernel_module_blacklist', module: 'dccp' };
  const asking = (mitigations: readonly unknown[], packages = order.packages) =>
    decideOrder(signed({ ...order, packages, mitigations }), facts);
  const change = (steps: readonly unknown[], id = 'module-dccp') => ({
    action: 'apply',
    mitigation: { id, steps, restart_units: [] },
  });
  test('that asks for a mitigation is obeyed, with and without packages', () => {
    expect(asking([change([dccp])]).ok).toBe(true);
    expect(asking([change([dccp])], []).ok).toBe(true);
  });
  test.each<[string, readonly unknown[]]>([
    ['of a kind that it does not know', [change([{ kind: 'shell', command: 'true' }])]],
    ['outside of what may be set', [change([{ kind: 'sysctl', key: 'kernel.core_pattern', value: '1' }])]],
    ['with a line break', [change([{ kind: 'sysctl', key: 'user.max_user_namespaces', value: '0\n1' }])]],
    ['without a step', [change([])]],
    ['under a name that leads elsewhere', [change([dccp], '../x')]],
    ['twice', [change([dccp]), change([dccp])]],
    ['with a field more', [{ ...change([dccp]), run: 'true' }]],
  ])('that asks for a mitigation %s is refused', (_, mitigations) => {
    expect(asking(mitigations)).toMatchObject({ ok: false, reason: 'malformed' });
  });
  test('that asks for nothing is refused', () => {
    expect(decideOrder(signed({ ...order, packages: [] }), facts)).toMatchObject({ reason: 'malformed' });
  });

  test('whose packages are there already is obeyed: it has only to be verified', () => {
    const installed = facts.installed.map((p) => ({ ...p, version: '7.88-2' }));
    expect(decideOrder(signed(order), { ...facts, installed }).ok).toBe(true);
  });

  test('delivered again is not refused, whatever its sequence and time say by now', () => {
    const decision = decideOrder(signed(order), {
      ...facts,
      lastSequence: 7,
      now: now + 86_400_000,
      isJournaled: () => true,
    });
    expect(decision).toEqual({ ok: true, order, repeated: true });
  });

  const [curl] = order.packages;
  if (curl === undefined) throw new Error('the order has a package');
  const dpkg = { name: 'dpkg', arch: 'amd64', from: '1', to: '2', source: 'dpkg', source_version: '2' };
  const refusals: readonly (readonly [string, string, SignedOrder, Partial<TrustFacts>])[] = [
    ['of another key', 'key_unknown', { ...signed(order), key_id: 'k2' }, {}],
    [
      'changed after signing',
      'signature_invalid',
      { ...signed(order), payload: JSON.stringify({ ...order, sequence: 8 }) },
      {},
    ],
    ['signed for another purpose', 'signature_invalid', signed(order, 'fixpoint-session-v1\n'), {}],
    ['that is no JSON', 'malformed', signed('{"task_id":'), {}],
    ['with a field too many', 'malformed', signed({ ...order, also: 1 }), {}],
    [
      'with a word for apt in a name',
      'malformed',
      signed({ ...order, packages: [{ ...curl, name: '-oDir::x' }] }),
      {},
    ],
    [
      'with a path in a version',
      'malformed',
      signed({ ...order, removed: [{ name: 'old', arch: 'all', version: '1/../../x' }] }),
      {},
    ],
    ['naming a package twice', 'malformed', signed({ ...order, packages: [curl, curl] }), {}],
    ['for another host', 'other_asset', signed({ ...order, asset_id: order.task_id }), {}],
    ['that has expired', 'expired', signed(order), { now: Date.parse(order.expires_at) }],
    ['from the future', 'issued_in_future', signed(order), { now: Date.parse(order.issued_at) - 301_000 }],
    ['seen before', 'replayed', signed(order), { lastSequence: 7 }],
    ['to a host that is only assessed', 'assess_only', signed(order), { mode: 'assess' }],
    ['for a package that is not there', 'versions_differ', signed(order), { installed: [] }],
    [
      'for another version',
      'versions_differ',
      signed(order),
      { installed: facts.installed.map((p) => ({ ...p, version: '7.88-1.1' })) },
    ],
    [
      'for another architecture',
      'versions_differ',
      signed(order),
      { installed: facts.installed.map((p) => ({ ...p, arch: 'i386' })) },
    ],
    [
      'that goes down',
      'downgrade',
      signed({ ...order, packages: [{ ...curl, from: '7.88-1', to: '7.88-1~1' }] }),
      {},
    ],
    [
      'that brings an older version of what is there as something new',
      'downgrade',
      signed({ ...order, packages: [dpkg], added: [{ name: 'curl', arch: 'amd64', version: '7.87-1' }] }),
      {
        installed: [
          ...facts.installed,
          { name: 'dpkg', arch: 'amd64', version: '1', source: 'dpkg', source_version: '1' },
        ],
      },
    ],
    [
      'for a package that the owner forbids',
      'host_policy',
      signed(order),
      { policy: policyFromText('[patching]\npackages.forbid = ["cu*"]').policy },
    ],
    [
      'for an action that the owner does not name',
      'host_policy',
      signed({
        ...order,
        actions: { before: [{ name: 'drain', timeout_seconds: 5, on_failure: 'continue' }] },
      }),
      { policy: policyFromText('').policy },
    ],
    [
      'for an action of a host without a policy',
      'host_policy',
      signed({ ...order, actions: { after: [{ name: 'drain', timeout_seconds: 5, on_failure: 'fail' }] } }),
      {},
    ],
    [
      'to a host whose policy cannot be read',
      'host_policy',
      signed(order),
      { policy: policyFromText('[reboot').policy },
    ],
    ['that goes nowhere', 'downgrade', signed({ ...order, packages: [{ ...curl, to: '7.88-1' }] }), {}],
  ];
  test.each(refusals)('%s is refused: %s', (_, reason, delivered, changed) => {
    const decision = decideOrder(delivered, { ...facts, ...changed });
    expect(decision).toMatchObject({ ok: false, reason });
    expect(decision.ok || decision.message.length > 10).toBe(true);
  });

  test('a clock that is a little behind does not matter', () => {
    expect(decideOrder(signed(order), { ...facts, now: Date.parse(order.issued_at) - 299_000 }).ok).toBe(
      true,
    );
  });

  test('a refusal names the task only when the payload has one', () => {
    expect(decideOrder({ ...signed(order), key_id: 'k2' }, facts)).toMatchObject({ taskId: order.task_id });
    expect(decideOrder(signed('[]'), facts)).toMatchObject({ taskId: null });
  });
});
