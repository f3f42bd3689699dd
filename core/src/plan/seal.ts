import canonicalize from 'canonicalize';
import { digestText } from '../inventory/digest.ts';
import type { Plan } from './plan.ts';

export type PlanContent = Omit<Plan, 'made_at' | 'digest'>;

/** The text that the digest of a plan is of, and that is exported: canonical JSON (RFC 8785), without made_at and digest. */
export function planText({ format, job_id, tasks, excluded, warnings }: PlanContent): string {
  const text = canonicalize({ format, job_id, tasks, excluded, warnings });
  if (text === undefined) throw new TypeError('a plan has a JSON form');
  return text;
}

/** A plan under its digest. `now`: milliseconds since 1970 UTC. */
export function sealedPlan(content: PlanContent, now: number): Plan {
  return { ...content, made_at: new Date(now).toISOString(), digest: digestText(planText(content)) };
}
