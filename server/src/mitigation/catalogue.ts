import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Mitigation } from '@fixpoint/contract/mitigation.ts';
import { describeProblems, parseJson } from '@fixpoint/contract/parse.ts';
import { mitigationProblems } from '@fixpoint/core/mitigation/grammar.ts';
import { mitigationDigest } from '@fixpoint/core/mitigation/mitigation.ts';

/**
 * The mitigations that this server knows: data of the program, reviewed like code, one file each. No feed adds to them. A
 * file that does not pass schema and grammar keeps the server from starting.
 */

export interface CatalogueEntry {
  readonly mitigation: Mitigation;
  readonly digest: string;
}

export type Catalogue = ReadonlyMap<string, CatalogueEntry>;

/** Reads a folder of mitigations, in order of their ids. Throws for the first that may not be there. */
export function readCatalogue(folder: string): Catalogue {
  const entries = new Map<string, CatalogueEntry>();
  for (const name of readdirSync(folder)) {
    if (!name.endsWith('.json')) continue;
    const parsed = parseJson(Mitigation, readFileSync(join(folder, name), 'utf8'));
    if (!parsed.ok) throw new Error(`${name} is no mitigation: ${describeProblems(parsed.problems)}`);
    const mitigation = parsed.value;
    const problems = mitigationProblems(mitigation);
    if (problems.length > 0) throw new Error(`${name} may not be used: ${describeProblems(problems)}`);
    if (`${mitigation.id}.json` !== name) throw new Error(`${name} holds the mitigation ${mitigation.id}`);
    entries.set(mitigation.id, { mitigation, digest: mitigationDigest(mitigation) });
  }
  return new Map([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
}

let known: Catalogue | null = null;

/** The catalogue that comes with the program; read once. */
export function catalogue(): Catalogue {
  known ??= readCatalogue(join(import.meta.dirname, 'catalogue'));
  return known;
}
