import { describe, expect, test } from 'vitest';
import type { OrderedPackage } from '@fixpoint/contract/order.ts';
import { createAptExecutor } from './apt.ts';
import { debFileName, parseRecordedConffiles, parseUcfRegistry, turnedRound } from './apt-keeping.ts';
import { differenceFromOrder, parseOffered, parseSimulation } from './apt-output.ts';
import type { OrderedChanges } from './executor.ts';

const p = (name: string, from: string, to: string): OrderedPackage => ({
  name,
  arch: 'amd64',
  from,
  to,
  source: name,
  source_version: to,
});

describe('what repositories offer', () => {
  test('is what has a file and a digest; what only dpkg knows of is left out', () => {
    const sha256 = 'f89e9f8d1a4a50ade44be3ed59a6ec55460fce205d2f8520c5c492137c5b609b';
    // As `apt-cache show bash=… dpkg=…` answers on Debian 12, without the fields that do not matter.
    const text = `Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b8

Package: dpkg
Version: 1.21.23
Architecture: amd64
Filename: pool/main/d/dpkg/dpkg_1.21.23_amd64.deb
Size: 1567804
SHA256: ${sha256}

Package: dpkg
Version: 1.21.23
Architecture: amd64
Filename: pool/d/dpkg_1.21.23_amd64.deb
Size: 1567900
SHA256: ${'0'.repeat(64)}
`;
    expect(parseOffered(text)).toEqual(
      new Map([['dpkg:amd64', { version: '1.21.23', sha256: [sha256, '0'.repeat(64)], bytes: 1_567_900 }]]),
    );
  });
});

describe('putting back', () => {
  const changes: OrderedChanges = {
    packages: [p('t', '1:1.0-1', '1:1.0-2')],
    added: [{ name: 't-new', arch: 'all', version: '1' }],
    removed: [{ name: 't-old', arch: 'amd64', version: '3' }],
  };

  test('names the kept files and what is to go, and no repository', () => {
    const { argv } = createAptExecutor('/task', '/archives', '/kept').command('roll_back', changes);
    expect(argv.slice(5, 8)).toEqual(['/kept/t_1%3a1.0-1_amd64.deb', '/kept/t-old_3_amd64.deb', 'apt-get']);
    expect(argv[4]).toBe('2');
    expect(argv.slice(-4)).toEqual([
      '--allow-downgrades',
      '/kept/t_1%3a1.0-1_amd64.deb',
      '/kept/t-old_3_amd64.deb',
      't-new:all-',
    ]);
    expect(argv).toContain('Dir::Etc::SourceParts=/dev/null');
    expect(debFileName({ name: 't', arch: 'amd64', version: '1:1.0-1' })).toBe('t_1%3a1.0-1_amd64.deb');
  });

  test('may do that and nothing else', () => {
    const output = `Inst t [1:1.0-2] (1:1.0-1 local-deb [amd64])
Inst t-old (3 local-deb [amd64])
Remv t-new [1]
Conf t (1:1.0-1 local-deb [amd64])
`;
    expect(differenceFromOrder(parseSimulation(output), turnedRound(changes))).toBe(null);
    expect(differenceFromOrder(parseSimulation(`${output}Remv other [5]\n`), turnedRound(changes))).toBe(
      'other would be removed',
    );
  });

  test('keeps by exact versions, in a folder of its own', () => {
    const { argv } = createAptExecutor('/task', '/archives', '/kept').command('keep', changes);
    expect(argv.slice(4)).toEqual([
      '/archives/earlier',
      'apt-get',
      '-c',
      '/task/apt.conf',
      '-y',
      '-q',
      'download',
      't:amd64=1:1.0-1',
      't-old:amd64=3',
    ]);
  });
});

describe('configuration files', () => {
  test('as dpkg remembers them', () => {
    const text = ` /etc/t/t.conf 2172d1285f9a29b167b857ceafa0aef5
 /etc/t/with blank.conf 9cd599a3523898e6a12e13ec787da50a obsolete
 /etc/t/coming.conf newconffile

`;
    expect([...parseRecordedConffiles(text)]).toEqual([
      ['/etc/t/t.conf', '2172d1285f9a29b167b857ceafa0aef5'],
      ['/etc/t/with blank.conf', '9cd599a3523898e6a12e13ec787da50a'],
    ]);
  });

  test('as ucf registers them', () => {
    expect(
      parseUcfRegistry('postgresql-common \t /etc/postgresql-common/createcluster.conf\nphp \t /etc/a b\n\n'),
    ).toEqual([
      ['postgresql-common', '/etc/postgresql-common/createcluster.conf'],
      ['php', '/etc/a b'],
    ]);
  });
});
