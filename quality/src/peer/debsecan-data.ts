import { deflateSync } from 'node:zlib';
import type { Decision } from '@fixpoint/core/knowledge/decision.ts';

/**
 * Decisions in debsecan's own format, so that it judges by the same data: a first line, then three lists, each ended by an
 * empty line, all deflated, as `fetch_data` of /usr/bin/debsecan 0.4 reads it.
 *
 *     VERSION 1
 *     NAME,FLAGS,DESCRIPTION                      one vulnerability a line; its number is the number of the line, from 0
 *     PACKAGE,NUMBER,FLAGS,FIXED,OTHER_VERSIONS   FLAGS: S (source package), urgency, remote, F when a fix is available
 *     SOURCE,BINARIES
 */
export function debsecanData(decisions: readonly Decision[]): Uint8Array {
  const numbers = new Map<string, number>();
  let packages = '';
  for (const { status, packageKind, vulnerability, fixedVersion, package: source } of decisions) {
    if (packageKind !== 'source' || (status !== 'fixed' && status !== 'affected')) continue;
    const number = numbers.get(vulnerability) ?? numbers.size;
    numbers.set(vulnerability, number);
    packages += `${source},${String(number)},S ?${fixedVersion === null ? ' ' : 'F'},${fixedVersion ?? ''},\n`;
  }
  const names = [...numbers.keys()].map((name) => `${name},,\n`).join('');
  return deflateSync(Buffer.from(`VERSION 1\n${names}\n${packages}\n\n`, 'utf8'));
}

/** `CVE binary` of each line that `debsecan --format summary` prints: `CVE-2023-5363 libssl3 (fixed)`. */
export function debsecanFindings(output: string): Set<string> {
  return new Set(
    output.split('\n').flatMap((line) => {
      const [vulnerability, name] = line.split(' ');
      return vulnerability !== undefined && name !== undefined ? [`${vulnerability} ${name}`] : [];
    }),
  );
}
