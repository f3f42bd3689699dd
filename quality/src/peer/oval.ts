/**
 * OVAL definitions (schema 5.11.1, https://oval-community-guidelines.readthedocs.io) made from decisions, for OpenSCAP to evaluate:
 * one for each installed package and fixed version, true when the installed version is less than the fixed one.
 */

export interface VersionTest {
  /** Installed package, by the name that its manager knows. */
  readonly name: string;
  readonly fixedVersion: string;
}

export type OvalFamily = 'deb' | 'rpm';

const namespaces = [
  'xmlns="http://oval.mitre.org/XMLSchema/oval-definitions-5"',
  'xmlns:oval="http://oval.mitre.org/XMLSchema/oval-common-5"',
  'xmlns:linux="http://oval.mitre.org/XMLSchema/oval-definitions-5#linux"',
].join(' ');

/** The definitions; that of `tests[i]` has the id `oval:fixpoint:def:i+1`. */
export function ovalDefinitions(family: OvalFamily, tests: readonly VersionTest[]): string {
  const kind = family === 'deb' ? 'dpkginfo' : 'rpminfo';
  const datatype = family === 'deb' ? 'debian_evr_string' : 'evr_string';
  const each = (write: (test: VersionTest, id: string) => string): string =>
    tests.map((test, at) => write(test, String(at + 1))).join('\n');
  return `<?xml version="1.0" encoding="UTF-8"?>
<oval_definitions ${namespaces}>
<generator><oval:schema_version>5.11.1</oval:schema_version><oval:timestamp>2025-01-01T00:00:00</oval:timestamp></generator>
<definitions>
${each(({ name, fixedVersion }, id) => `<definition id="oval:fixpoint:def:${id}" version="1" class="vulnerability"><metadata><title>${escape(name)} before ${escape(fixedVersion)}</title><description>-</description></metadata><criteria><criterion test_ref="oval:fixpoint:tst:${id}"/></criteria></definition>`)}
</definitions>
<tests>
${each((_, id) => `<linux:${kind}_test id="oval:fixpoint:tst:${id}" version="1" check="at least one" check_existence="at_least_one_exists" comment="-"><linux:object object_ref="oval:fixpoint:obj:${id}"/><linux:state state_ref="oval:fixpoint:ste:${id}"/></linux:${kind}_test>`)}
</tests>
<objects>
${each(({ name }, id) => `<linux:${kind}_object id="oval:fixpoint:obj:${id}" version="1"><linux:name>${escape(name)}</linux:name></linux:${kind}_object>`)}
</objects>
<states>
${each(({ fixedVersion }, id) => `<linux:${kind}_state id="oval:fixpoint:ste:${id}" version="1"><linux:evr datatype="${datatype}" operation="less than">${escape(withEpoch(fixedVersion))}</linux:evr></linux:${kind}_state>`)}
</states>
</oval_definitions>
`;
}

/** OVAL's `evr` always has an epoch. */
function withEpoch(version: string): string {
  return /^\d+:/u.test(version) ? version : `0:${version}`;
}

function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

/** Number of the definition → what `oscap oval eval` printed of it: `true`, `false`, `error`, `unknown`. */
export function ovalResults(output: string): Map<number, string> {
  return new Map(
    [...output.matchAll(/^Definition oval:fixpoint:def:(\d+): (\S+)$/gmu)].map((match) => [
      Number(match[1]),
      match[2] ?? '',
    ]),
  );
}
