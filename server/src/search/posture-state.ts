import type { PostureView } from '@fixpoint/contract/posture.ts';
import type { ServerContext } from '../app.ts';
import type { Posture } from '../posture/posture.ts';

/** When the read model was last found to be as the database is; for answers that have just been read from it. */
export function asOf(posture: Posture): string {
  const state = posture.state();
  if (state === null) throw new Error('read from a fleet that has no state');
  return state.asOf.toISOString();
}

/** How far this server has the fleet in memory. It waits for nothing. */
export function postureView({ posture, clock }: Pick<ServerContext, 'posture' | 'clock'>): PostureView {
  const state = posture.state();
  return {
    as_of: state?.asOf.toISOString() ?? null,
    lag_seconds: state === null ? null : Math.max(0, (clock.now().getTime() - state.asOf.getTime()) / 1000),
    assets: state?.assets ?? 0,
    software: state?.software ?? 0,
    vulnerabilities: state?.vulnerabilities ?? 0,
    pairs: state?.pairs ?? 0,
    settled: state?.risksSettled ?? false,
  };
}
