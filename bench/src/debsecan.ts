import { deflateSync } from 'node:zlib';
import type { Knowledge } from '@fixpoint/cli/knowledge/read.ts';

/**
 * The knowledge in debsecan's own format, so that it judges by the same data. Format as `fetch_data` and `Vulnerability` of
 * /usr/bin/debsecan 0.4 read it: a first line, then three lists, each ended by an empty line, all deflated:
 *
 *     VERSION 1
 *     NAME,FLAGS,DESCRIPTION                      one vulnerability a line; its number is the number of the line, from 0
 *     PACKAGE,NUMBER,FLAGS,FIXED,OTHER_VERSIONS   FLAGS: S (source package), urgency, remote, F when a fix is available
 *     SOURCE,BINARIES
 */
export function debsecanData(knowledge: Knowledge): Uint8Array {
  const numbers = new Map<string, number>();
  let names = '';
  let packages = '';
  let decisions = 0;
  for (const { kind, name: source } of knowledge.names) {
    if (kind !== 'source') continue;
    for (const { decision } of knowledge.ofSource(source)) {
      if (decision.status !== 'fixed' && decision.status !== 'affected') continue;
      let number = numbers.get(decision.vulnerability);
      if (number === undefined) {
        number = numbers.size;
        numbers.set(decision.vulnerability, number);
        names += `${decision.vulnerability},,${knowledge.dangerOf(decision).title ?? ''}\n`;
      }
      packages += `${source},${String(number)},S ?${decision.fixedVersion === null ? ' ' : 'F'},${decision.fixedVersion ?? ''},\n`;
      decisions++;
    }
  }
  if (decisions === 0) throw new Error('there is no decision to write');
  return deflateSync(Buffer.from(`VERSION 1\n${names}\n${packages}\n\n`, 'utf8'), { level: 9 });
}

/** `CVE binary` of each line that `debsecan --format summary` prints: `CVE-2023-5363 libssl3 (fixed)`. */
export function debsecanFindings(output: string): Set<string> {
  const found = new Set<string>();
  for (const line of output.split('\n')) {
    const [vulnerability, name] = line.split(' ');
    if (vulnerability !== undefined && name !== undefined) found.add(`${vulnerability} ${name}`);
  }
  return found;
}
