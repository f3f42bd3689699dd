import type { HostPolicy } from './policy.ts';

/** What a policy says to an order. Pure. */

/** Of an order, what a policy can be about. */
export interface PolicyQuestion {
  readonly action: 'install' | 'reboot' | 'roll_back';
  readonly packages?: readonly { readonly name: string }[] | undefined;
  readonly added?: readonly { readonly name: string }[] | undefined;
  readonly removed?: readonly { readonly name: string }[] | undefined;
  readonly actions?:
    | {
        readonly before?: readonly { readonly name: string }[] | undefined;
        readonly after?: readonly { readonly name: string }[] | undefined;
      }
    | undefined;
}

/** Why the policy forbids the order, for a person; null when it does not. Hours are not asked about: they only delay. */
export function refusalByPolicy(policy: HostPolicy, order: PolicyQuestion): string | null {
  return policy.problem === null
    ? null
    : `The policy of the host cannot be read: ${policy.problem} ${order.action}`;
}
