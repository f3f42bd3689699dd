import { beforeAll, expect, test } from 'vitest';
import { madeUpFile, readFeed, recordedFile, type Reading } from '../recorded.ts';
import { redhatOsv } from './redhat-osv.ts';

let sample: Reading;
beforeAll(async () => {
  sample = await readFeed(redhatOsv, recordedFile(new URL('sample/records.jsonl', import.meta.url)));
});

const factsOf = (id: string) => sample.records.find((record) => record.id === id)?.facts ?? [];
const statementsOf = (id: string) => factsOf(id).filter((fact) => fact.kind === 'statement');

test('every record is read', () => {
  expect(sample.rejections).toEqual([]);
  expect(sample.records).toHaveLength(10);
});

test('an erratum of RHEL itself; its vector is not taken for that of its CVEs', () => {
  expect(factsOf('RHSA-2024:1435').map(({ kind }) => kind)).toEqual(['advisory', 'statement', 'statement']);
  expect(statementsOf('RHSA-2024:1435')[0]).toMatchObject({
    vulnerability: 'CVE-2024-1597',
    ecosystem: 'redhat',
    release: '8',
    package: 'postgresql-jdbc',
    packageKind: 'binary',
    module: null,
    channel: null,
    fixedVersion: '0:42.2.14-3.el8_9',
    advisory: 'RHSA-2024:1435',
  });
});

test.each([
  ['RHSA-2024:0422', '8', 'eus:8.6', null],
  ['RHSA-2024:4001', '8', 'aus:8.2', null],
  ['RHSA-2024:6583', '8', 'aus:8.2', 'httpd:2.4'],
  ['RHSA-2025:1250', '7', 'els', null],
  ['RHSA-2024:0489', '8', 'product:openshift:4.12', null],
  ['RHSA-2024:1270', '7', 'product:rhel_extras_other:7', null],
  ['RHSA-2025:0881', '7', 'product:fastdatapath', null],
  ['RHSA-2024:1690', '8', null, '?'],
])('%s is of RHEL %s, %s, module %s', (id, release, channel, module) => {
  expect(statementsOf(id)[0]).toMatchObject({ release, channel, module });
});

test('a product for several releases', () => {
  expect(
    statementsOf('RHSA-2024:2101')
      .filter(({ vulnerability }) => vulnerability === 'CVE-2023-38546')
      .map(({ release }) => release),
  ).toEqual(['6', '7', '8', '9']);
});

test('a package in two repositories of a release is said once; what is of no RHEL is passed over', async () => {
  const entry = (ecosystem: string, fixed = '0:1-1.el9') => ({
    package: { ecosystem, name: 'x' },
    ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed }] }],
  });
  const record = {
    id: 'RHSA-2025:0001',
    modified: '2025-01-14T08:05:45Z',
    related: ['CVE-2025-0001'],
    affected: [
      entry('Red Hat:enterprise_linux:9::appstream'),
      entry('Red Hat:enterprise_linux:9::crb'),
      entry('Red Hat:jboss_enterprise_application_platform:8.0', '0:1-1'),
    ],
  };
  const { records, rejections } = await readFeed(redhatOsv, madeUpFile(JSON.stringify(record)));
  expect(rejections).toEqual([]);
  expect(records[0]?.facts.map(({ kind }) => kind)).toEqual(['advisory', 'statement']);
});
