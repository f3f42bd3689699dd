import { compareRpm, parseRpm } from '@fixpoint/core/version/rpm.ts';
import type { OsvAffected, OsvRecord } from './osv-record.ts';

/** What an entry says of versions. `fixed` null: nothing fixes it. */
export interface OsvRange {
  readonly introduced: string | null;
  readonly fixed: string | null;
}

/**
 * The one range of an entry: from 0 (or, where asked for, a version) with at most one fix. Null for anything that a
 * statement cannot express: several ranges, `last_affected`, `limit`, lists of versions only.
 */
export function readRange(affected: OsvAffected, readsIntroduced: boolean): OsvRange | null {
  const ranges = (affected.ranges ?? []).filter((range) => range.type === 'ECOSYSTEM');
  const [range] = ranges;
  if (range === undefined || ranges.length !== 1) return null;
  let introduced: string | null = null;
  let fixed: string | null = null;
  for (const event of range.events) {
    for (const [kind, version] of Object.entries(event)) {
      if (version === '') return null;
      if (kind === 'introduced' && introduced === null && (version === '0' || readsIntroduced))
        introduced = version;
      else if (kind === 'fixed' && fixed === null) fixed = version;
      else return null;
    }
  }
  return introduced === null ? null : { introduced: introduced === '0' ? null : introduced, fixed };
}

/**
 * Module streams (`nodejs:18`) that a modular build may be of: the ones that the summary names, or the purl. Of an erratum
 * of two modules (`virt:rhel and virt-devel:rhel`) a package is in one of them, and its record does not say in which: a
 * statement for each is right, since no package of the same name is in the other, or it has the same fix there (`idm`).
 */
export function streamsOf(record: OsvRecord, affected: OsvAffected): readonly string[] {
  const purl = /[?&]rpmmod=([^&]+)/u.exec(affected.package?.purl ?? '')?.[1];
  const inPurl = purl === undefined ? null : /^[^:]+:[^:]+/u.exec(decodeURIComponent(purl))?.[0];
  if (inPurl !== null && inPurl !== undefined) return [inPurl];
  const named = (record.summary ?? '').match(/(?<![\w:.-])[A-Za-z0-9_][\w.+-]*:[A-Za-z0-9][\w.+-]*/gu) ?? [];
  const streams = named.filter((name) => !/^(?:RH|AL|RL)[SBE]A-/u.test(name));
  return streams.length === 0 ? ['?'] : [...new Set(streams)];
}

/** Whether a version is of a modular build: RHEL and its rebuilds write `.module+el8.5.0+…` or `.module_el8.5.0+…`. */
export function isModular(version: string): boolean {
  return version.includes('.module');
}

/**
 * The version that a package must reach, of those that one erratum names for it. Rebuilds name several: the same source
 * package built again for a later minor release or module build (`1.0.1-2.module_el8.6.0+2741` and `…+3048`, `16.el8` and
 * `16.el8_5.13`), each with the fix, so the lowest is enough; and at times different source versions, of which only the
 * highest is sure to be no build before the fix. Null when a version cannot be read.
 */
export function versionToReach(versions: readonly string[]): string | null {
  const parsed = versions.map((text) => ({ text, source: sourceRelease(text), parse: parseRpm(text) }));
  const readable = parsed.flatMap(({ text, source, parse }) =>
    parse.ok ? [{ text, source, version: parse.version }] : [],
  );
  if (readable.length !== versions.length) return null;
  readable.sort((a, b) => compareRpm(a.version, b.version));
  const highest = readable.at(-1);
  return readable.find(({ source }) => source === highest?.source)?.text ?? null;
}

/** A version without its distribution tag: `0:1.0.1-2.module_el8.6.0+2741+01592ae8` → `1.0.1-2`. */
function sourceRelease(version: string): string {
  return version.replace(/^0:/u, '').replace(/\.(?:el[0-9]|module).*$/u, '');
}
