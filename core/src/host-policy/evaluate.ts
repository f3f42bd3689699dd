import { matchesPattern } from './pattern.ts';
import type { HostPolicy } from './policy.ts';

/** What a policy says to an order. Pure. */

interface NamedPackage {
  readonly name: string;
  /** A pattern is about the package and about the source that it is built from. */
  readonly source?: string | undefined;
}

/** Of an order, what a policy can be about. */
export interface PolicyQuestion {
  readonly action: 'install' | 'reboot' | 'roll_back';
  readonly packages?: readonly NamedPackage[] | undefined;
  readonly added?: readonly NamedPackage[] | undefined;
  readonly removed?: readonly NamedPackage[] | undefined;
  readonly actions?:
    | {
        readonly before?: readonly { readonly name: string }[] | undefined;
        readonly after?: readonly { readonly name: string }[] | undefined;
      }
    | undefined;
}

/**
 * Why the policy forbids the order, for a person; null when it does not. Hours are not asked about: they only delay.
 * @param policy null: the host has none, and then everything is allowed but to run commands of it
 */
export function refusalByPolicy(policy: HostPolicy | null, order: PolicyQuestion): string | null {
  if (policy !== null && policy.problem !== null) {
    return `The policy of the host cannot be read, so it forbids everything: ${policy.problem}`;
  }
  if (order.action === 'reboot') {
    return policy?.reboot === 'forbid' ? 'The policy of the host forbids reboots.' : null;
  }
  if (order.action === 'roll_back' && policy?.rollback === 'forbid') {
    return 'The policy of the host forbids rollbacks.';
  }
  if (order.action === 'install' && policy?.patching === 'forbid') {
    return 'The policy of the host forbids patching.';
  }
  return forbiddenPackages(policy, order) ?? unknownActions(policy, order);
}

/** The pattern that forbids a package; null when none does. */
export function forbiddenBy(policy: HostPolicy | null, { name, source }: NamedPackage): string | null {
  return (
    policy?.forbidden_packages.find(
      (pattern) => matchesPattern(pattern, name) || (source !== undefined && matchesPattern(pattern, source)),
    ) ?? null
  );
}

function forbiddenPackages(policy: HostPolicy | null, order: PolicyQuestion): string | null {
  const touched = [...(order.packages ?? []), ...(order.added ?? []), ...(order.removed ?? [])];
  const found = new Map<string, string>();
  for (const one of touched) {
    const pattern = forbiddenBy(policy, one);
    if (pattern !== null) found.set(one.name, pattern);
  }
  if (found.size === 0) return null;
  const words = [...found].map(([name, pattern]) => (name === pattern ? name : `${name} (${pattern})`));
  return `The policy of the host forbids to touch ${listOf(words)}.`;
}

function unknownActions(policy: HostPolicy | null, order: PolicyQuestion): string | null {
  const wanted = [...(order.actions?.before ?? []), ...(order.actions?.after ?? [])].map(({ name }) => name);
  const unknown = [...new Set(wanted)].filter((name) => policy?.actions.includes(name) !== true);
  if (unknown.length === 0) return null;
  return policy === null
    ? `The host has no policy file, so it runs no actions; asked for: ${listOf(unknown)}.`
    : `The policy of the host knows no action ${listOf(unknown)}.`;
}

function listOf(words: readonly string[]): string {
  const more = words.length > 10 ? ` and ${String(words.length - 10)} more` : '';
  return `${words.slice(0, 10).join(', ')}${more}`;
}
