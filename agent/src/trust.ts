import type { OrderRefusal } from '@fixpoint/core/task/states.ts';
import { refusalByPolicy } from '@fixpoint/core/host-policy/evaluate.ts';
import type { HostPolicy } from '@fixpoint/core/host-policy/policy.ts';
import type { InstalledPackage } from '@fixpoint/core/inventory/inventory.ts';
import { orderProblems } from '@fixpoint/core/mitigation/grammar.ts';
import { compareVersions, type VersionScheme } from '@fixpoint/core/version/version.ts';
import { type AgentMode, type ServerKey } from '@fixpoint/contract/agent.ts';
import { Order, type InstallOrder, type RollbackOrder, type SignedOrder } from '@fixpoint/contract/order.ts';
import { describeProblems, parseJson } from '@fixpoint/contract/parse.ts';
import { verifySignature } from './identity.ts';

/** What this host obeys. Nothing that comes over the network is believed before it has passed here. */

export interface TrustFacts {
  readonly assetId: string;
  readonly mode: AgentMode;
  /** Pinned at enrolment. */
  readonly serverKey: ServerKey;
  /** Milliseconds since 1970, by this host's clock. */
  readonly now: number;
  /** The highest sequence that this host has obeyed; 0 before the first. */
  readonly lastSequence: number;
  readonly installed: readonly InstalledPackage[];
  /** How versions of this host's packages are compared. */
  readonly scheme: VersionScheme;
  /** What the owner of the host allows; null when there is no policy file. */
  readonly policy: HostPolicy | null;
  /** Whether a task of this host waits for a reboot in this generation. */
  readonly awaitsReboot: (taskId: string, generation: number) => boolean;
  /** What was there before a task of this host, as it was kept: `name:arch` → version; null when nothing was. */
  readonly kept: (taskId: string, generation: number) => ReadonlyMap<string, string> | null;
  /** Whether the journal holds exactly this order already, and the server may still not know how it ended. */
  readonly isJournaled: (order: Order, payload: string) => boolean;
}

export type TrustDecision =
  | { readonly ok: true; readonly order: Order }
  /** Delivered again: it is being done, or done. Nothing is to do and nothing is wrong. */
  | { readonly ok: true; readonly order: Order; readonly repeated: true }
  | {
      readonly ok: false;
      readonly reason: OrderRefusal;
      readonly message: string;
      /** From the payload, only for the report. */
      readonly taskId: string | null;
    };

/** How far the host's clock may be behind the server's. */
const skewSeconds = 300;

/** Decides about one order. Pure but for the arithmetic of the signature. */
export function decideOrder(signed: SignedOrder, facts: TrustFacts): TrustDecision {
  const unread = (reason: OrderRefusal, message: string): TrustDecision => ({
    ok: false,
    reason,
    message,
    taskId: readTaskId(signed.payload),
  });
  if (signed.key_id !== facts.serverKey.key_id) {
    return unread(
      'key_unknown',
      `The order is signed by key ${signed.key_id}, which this host was not told of.`,
    );
  }
  if (
    !verifySignature(facts.serverKey.public_key, `fixpoint-order-v1\n${signed.payload}`, signed.signature)
  ) {
    return unread(
      'signature_invalid',
      'The signature is not by the key of the server that this host is enrolled at.',
    );
  }
  const parsed = parseJson(Order, signed.payload);
  if (!parsed.ok)
    return unread('malformed', `The order cannot be read: ${describeProblems(parsed.problems)}.`);
  const order = parsed.value;
  const refuse = (reason: OrderRefusal, message: string): TrustDecision => ({
    ok: false,
    reason,
    message,
    taskId: order.task_id,
  });

  if (order.asset_id !== facts.assetId) {
    return refuse('other_asset', `The order is for asset ${order.asset_id}; this host is ${facts.assetId}.`);
  }
  const problem = order.action === 'reboot' ? null : contentProblem(order);
  if (problem !== null) return refuse('malformed', problem);
  // Before the sequence and the time: an order that this host obeys already is not to be refused for being old.
  if (facts.isJournaled(order, signed.payload)) return { ok: true, order, repeated: true };
  if (facts.now >= Date.parse(order.expires_at)) {
    return refuse('expired', `The order expired at ${order.expires_at}.`);
  }
  if (Date.parse(order.issued_at) > facts.now + skewSeconds * 1000) {
    return refuse(
      'issued_in_future',
      `The order says it was made at ${order.issued_at}; check this host's clock.`,
    );
  }
  if (order.sequence <= facts.lastSequence) {
    return refuse(
      'replayed',
      `The order has sequence ${String(order.sequence)}; this host has obeyed ${String(facts.lastSequence)} already.`,
    );
  }
  if (facts.mode === 'assess') {
    return refuse('assess_only', 'This host is enrolled to be assessed only, and installs nothing.');
  }
  const forbidden = refusalByPolicy(facts.policy, order);
  if (forbidden !== null) return refuse('host_policy', forbidden);
  switch (order.action) {
    case 'reboot':
      return facts.awaitsReboot(order.task_id, order.generation)
        ? { ok: true, order }
        : refuse('not_awaited', 'No task of this host waits for that reboot.');
    case 'roll_back':
      return decideRollback(order, facts) ?? { ok: true, order };
    case 'install':
      return decidePackages(order, facts.installed, facts.scheme) ?? { ok: true, order };
  }
}

/** What an order asks for that no order may; null when nothing. */
function contentProblem(order: InstallOrder | RollbackOrder): string | null {
  const added = order.action === 'install' ? (order.added ?? []) : [];
  const removed = order.action === 'install' ? (order.removed ?? []) : [];
  const twice = firstTwice([...order.packages, ...added, ...removed].map((p) => `${p.name}:${p.arch}`));
  if (twice !== null) return `The order names ${twice} twice.`;
  const versions = [
    ...order.packages.flatMap((p) => [p.from, p.to]),
    ...[...added, ...removed].map((p) => p.version),
  ];
  const names = [...order.packages, ...added, ...removed].flatMap((p) => [p.name, p.arch]);
  if (!names.every(isSafeName) || !versions.every(isSafeVersion)) {
    return 'The order names a package or version that the package manager could not have.';
  }
  if (order.action === 'roll_back') return null;
  const mitigations = order.mitigations ?? [];
  if (order.packages.length === 0 && mitigations.length === 0) return 'The order asks for nothing.';
  const mitigationTwice = firstTwice(mitigations.map(({ mitigation }) => mitigation.id));
  if (mitigationTwice !== null) return `The order names ${mitigationTwice} twice.`;
  for (const { mitigation } of mitigations) {
    const [problem] = orderProblems(mitigation);
    if (problem !== undefined) {
      return `${mitigation.id} is nothing that this host would do: ${problem.path} ${problem.message}.`;
    }
  }
  return null;
}

/** A host goes back only to what it has kept itself before that very task. Null when nothing is wrong. */
function decideRollback(order: RollbackOrder, facts: TrustFacts): TrustDecision | null {
  const kept = facts.kept(order.task_id, order.undoes_generation);
  const refuse = (message: string): TrustDecision => ({
    ok: false,
    reason: 'nothing_kept',
    message,
    taskId: order.task_id,
  });
  if (kept === null) return refuse('This host has kept nothing of that task.');
  for (const { name, arch, from } of order.packages) {
    const version = kept.get(`${name}:${arch}`);
    if (version !== from) {
      return refuse(
        `${name}:${arch} is to go back to ${from}; kept is ${version === undefined ? 'nothing' : version}.`,
      );
    }
  }
  return null;
}

/** Whether each package is where the order says it is, and goes up. Null when nothing is wrong. */
export function decidePackages(
  order: InstallOrder,
  installed: readonly InstalledPackage[],
  scheme: VersionScheme,
): TrustDecision | null {
  // Of a package that is there in several versions, as kernels are, the newest counts.
  const versions = new Map<string, string>();
  for (const p of installed) {
    const key = `${p.name}:${p.arch}`;
    const other = versions.get(key);
    if (other === undefined || compareVersions(scheme, p.version, other) === 'greater') {
      versions.set(key, p.version);
    }
  }
  for (const { name, arch, from, to } of order.packages) {
    const direction = compareVersions(scheme, to, from);
    if (direction !== 'greater') {
      return {
        ok: false,
        reason: 'downgrade',
        message: `${name} would go from ${from} to ${to}, which is not newer.`,
        taskId: order.task_id,
      };
    }
    const version = versions.get(`${name}:${arch}`);
    if (version !== from && version !== to) {
      return {
        ok: false,
        reason: 'versions_differ',
        message: `${name}:${arch} is ${version === undefined ? 'not installed' : `at ${version}`}; the order is from ${from} to ${to}.`,
        taskId: order.task_id,
      };
    }
  }
  for (const { name, arch, version } of order.added ?? []) {
    const present = versions.get(`${name}:${arch}`);
    if (present !== undefined && compareVersions(scheme, version, present) === 'less') {
      return {
        ok: false,
        reason: 'downgrade',
        message: `${name} is to come newly at ${version}, and is there at ${present}, which is newer.`,
        taskId: order.task_id,
      };
    }
  }
  return null;
}

/** What names and versions of dpkg, rpm and apk can be; keeps text out of arguments that a package manager would read otherwise. */
export function isSafeName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9+._-]*$/u.test(name);
}

export function isSafeVersion(version: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9.+~:^_-]*$/u.test(version);
}

function firstTwice(keys: readonly string[]): string | null {
  return keys.find((key, index) => keys.indexOf(key) !== index) ?? null;
}

function readTaskId(payload: string): string | null {
  try {
    const value: unknown = JSON.parse(payload);
    if (typeof value !== 'object' || value === null || !('task_id' in value)) return null;
    const { task_id: id } = value;
    return typeof id === 'string' && /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/iu.test(id) ? id : null;
  } catch {
    return null;
  }
}
