import { join } from 'node:path';
import { Type } from '@fixpoint/contract/schema.ts';
import { RefusalReport } from '@fixpoint/contract/agent.ts';
import { readStateFile, writeFileAtomically } from './state-dir.ts';

/** Refusals that the server does not know of yet; kept over restarts, bounded. */
export interface Refusals {
  pending(): readonly RefusalReport[];
  add(report: RefusalReport): void;
  delivered(report: RefusalReport): void;
}

const keptMaximum = 200;
const File = Type.Object({ format: Type.Literal(1), refusals: Type.Array(RefusalReport) });

export function openRefusals(stateDir: string): Refusals {
  const path = join(stateDir, 'refusals.json');
  let refusals: readonly RefusalReport[] = readStateFile(path, File)?.refusals ?? [];
  /** Told already while this agent runs: an order that is delivered again and again is refused once. */
  const seen = new Set<string>();
  const keyOf = (r: RefusalReport): string => `${r.payload_digest} ${r.reason}`;
  const save = (next: readonly RefusalReport[]): void => {
    refusals = next;
    writeFileAtomically(path, JSON.stringify({ format: 1, refusals }));
  };
  return {
    pending: () => refusals,
    add(report) {
      if (seen.has(keyOf(report))) return;
      if (seen.size > 10_000) seen.clear();
      seen.add(keyOf(report));
      // The first ones tell how it began; beyond the limit the newest are left out.
      if (refusals.length < keptMaximum) save([...refusals, report]);
    },
    delivered(report) {
      save(refusals.filter((r) => r !== report));
    },
  };
}
