import { beforeAll, expect, test } from 'vitest';
import { readFeed, recordedFile, type Reading } from '../recorded.ts';
import { almalinuxOsv } from './almalinux-osv.ts';

let sample: Reading;
beforeAll(async () => {
  sample = await readFeed(almalinuxOsv, recordedFile(new URL('sample/records.jsonl', import.meta.url)));
});

const factsOf = (id: string) => sample.records.find((record) => record.id === id)?.facts ?? [];
const statementsOf = (id: string) => factsOf(id).filter((fact) => fact.kind === 'statement');

test('every record is read', () => {
  expect(sample.rejections).toEqual([]);
  expect(sample.records).toHaveLength(8);
});

test('an erratum of a module speaks of binary packages of its stream', () => {
  expect(factsOf('ALSA-2023:5713')[0]).toMatchObject({
    kind: 'advisory',
    vulnerabilities: ['CVE-2023-44487'],
    url: 'https://errata.almalinux.org/8/ALSA-2023-5713.html',
  });
  expect(statementsOf('ALSA-2023:5713')[0]).toEqual({
    kind: 'statement',
    vulnerability: 'CVE-2023-44487',
    ecosystem: 'almalinux',
    release: '8',
    package: 'nginx',
    packageKind: 'binary',
    module: 'nginx:1.22',
    channel: null,
    status: 'fixed',
    introducedVersion: null,
    fixedVersion: '1:1.22.1-1.module_el8.8.0+3623+f96e6422.1.alma.1',
    updates: [],
    fixState: 'available',
    note: null,
    advisory: 'ALSA-2023:5713',
    statedAt: '2023-10-16T00:00:00Z',
  });
});

test('two modules in one erratum: a statement for each; a package named at two builds: the lower', () => {
  const said = statementsOf('ALSA-2024:8359').filter((one) => one.package === 'python39-Cython');
  expect(said.map(({ module, fixedVersion }) => [module, fixedVersion])).toEqual([
    ['python39:3.9', '0.29.21-5.module_el8.6.0+2780+a40f65e1'],
    ['python39-devel:3.9', '0.29.21-5.module_el8.6.0+2780+a40f65e1'],
  ]);
  const thunderbird = statementsOf('ALSA-2021:4130');
  expect(new Set(thunderbird.map(({ fixedVersion }) => fixedVersion))).toEqual(
    new Set(['91.3.0-2.el8_4.alma']),
  );
});

test('a modular build whose stream nothing names is of stream ?', () => {
  expect(new Set(statementsOf('ALSA-2023:5989').map(({ module }) => module))).toEqual(new Set(['?']));
});

test('CVEs that only the references name', () => {
  expect(factsOf('ALSA-2024:9470')[0]).toMatchObject({ vulnerabilities: ['CVE-2024-47175'] });
  expect(statementsOf('ALSA-2024:9470').length).toBeGreaterThan(3);
});

test('a bug fix is no vulnerability, unless it names a CVE', () => {
  expect(factsOf('ALBA-2021:1099').map(({ kind }) => kind)).toEqual(['advisory']);
  expect(statementsOf('ALBA-2021:4604')[0]).toMatchObject({
    vulnerability: 'CVE-2021-40438',
    module: 'httpd:2.4',
  });
});

test('AlmaLinux 10', () => {
  expect(statementsOf('ALSA-2025:10073')[0]).toMatchObject({
    release: '10',
    module: null,
    package: 'firefox',
  });
});
