import type { Prestaged } from '@fixpoint/contract/distribution.ts';
import type { ServerContext } from '../app.ts';
import type { Distribution } from './distribution.ts';

/** Fetching ahead what running deployments need. */
export interface Prestaging {
  attach(distribution: Distribution): void;
  start(): void;
  stop(): Promise<void>;
  status(): Prestaged;
  forPoint(id: string): { readonly wanted: readonly string[]; readonly unresolved: number };
}

export function createPrestaging(_context: ServerContext, _open: () => Promise<Distribution>): Prestaging {
  return {
    attach: () => undefined,
    start: () => undefined,
    stop: () => Promise.resolve(),
    status: () => ({ wanted: 0, ready: 0, failed: 0, unresolved: 0 }),
    forPoint: () => ({ wanted: [], unresolved: 0 }),
  };
}
