import type { SignedOrder } from '@fixpoint/contract/order.ts';
import type { AgentParts } from './check-in.ts';
import type { DistributionPoint } from './execute/executor.ts';

/** Questions of the server to the package manager of this host: what would an order do? Nothing is changed by them. */
export interface Simulations {
  /** Answers those that are asked, in the background; one that is being answered, or was, is not begun again. */
  answer(asked: readonly SignedOrder[]): void;
}

export function createSimulations(
  parts: Pick<AgentParts, 'enrolment' | 'log'>,
  distributionPoint: () => Promise<DistributionPoint>,
): Simulations {
  return {
    answer(asked) {
      if (asked.length > 0)
        parts.log('warn', 'simulations are being built', { from: distributionPoint.name });
    },
  };
}
