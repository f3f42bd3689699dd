import { beforeAll, expect, test } from 'vitest';
import { readFeed, recordedFile, type Reading } from '../recorded.ts';
import { rockyOsv } from './rocky-osv.ts';

let sample: Reading;
beforeAll(async () => {
  sample = await readFeed(rockyOsv, recordedFile(new URL('sample/records.jsonl', import.meta.url)));
});

const factsOf = (id: string) => sample.records.find((record) => record.id === id)?.facts ?? [];
const statementsOf = (id: string) => factsOf(id).filter((fact) => fact.kind === 'statement');

test('every record is read', () => {
  expect(sample.rejections).toEqual([]);
  expect(sample.records).toHaveLength(7);
});

test('an erratum names source packages; its vector is not taken for that of its CVEs', () => {
  expect(factsOf('RLSA-2023:7877').map(({ kind }) => kind)).toEqual([
    'advisory',
    'statement',
    'statement',
    'statement',
    'statement',
  ]);
  expect(statementsOf('RLSA-2023:7877')[0]).toMatchObject({
    vulnerability: 'CVE-2023-3446',
    ecosystem: 'rocky',
    release: '8',
    package: 'openssl',
    packageKind: 'source',
    module: null,
    channel: null,
    fixedVersion: '1:1.1.1k-12.el8_9',
    advisory: 'RLSA-2023:7877',
  });
});

test('a package in and beside a module is two statements', () => {
  expect(
    statementsOf('RLSA-2022:7593').map((said) => [said.package, said.module, said.fixedVersion]),
  ).toEqual([
    ['python-dns', null, '0:1.15.0-10.el8'],
    ['python-dns', 'python27:2.7', '0:1.15.0-10.module+el8.4.0+403+9ae17a31'],
  ]);
});

test('of rebuilds the lowest, of different source versions the highest', () => {
  const fixedIn = (id: string, name: string) => [
    ...new Set(
      statementsOf(id)
        .filter((said) => said.package === name)
        .map((said) => said.fixedVersion),
    ),
  ];
  expect(fixedIn('RLSA-2022:7006', 'java-1.8.0-openjdk')).toEqual(['1:1.8.0.352.b08-2.el8_6']);
  expect(fixedIn('RLSA-2022:0258', 'httpd')).toEqual(['0:2.4.37-43.module+el8.5.0+714+5ec56ee8']);
  expect(fixedIn('RLSA-2022:0258', 'mod_http2')).toEqual(['0:1.15.7-3.module+el8.4.0+553+7a69454b']);
});

test('the kernels of a special interest group are a product beside the release', () => {
  expect(statementsOf('RXSA-2023:0101')[0]).toMatchObject({
    release: '8',
    channel: 'product:sig-cloud',
    fixedVersion: '0:4.18.0-425.10.1.el8_7.cloud',
  });
});

test('CVEs that only the text names, in brackets after each flaw', () => {
  expect(factsOf('RLSA-2026:0786')[0]).toMatchObject({ vulnerabilities: ['CVE-2025-68285'] });
  expect(statementsOf('RLSA-2026:0786')).toMatchObject([{ release: '10', package: 'kernel' }]);
});
