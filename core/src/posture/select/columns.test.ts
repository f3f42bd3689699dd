import { describe, expect, it } from 'vitest';
import { fieldsOf, subjects } from '../../query/fields.ts';
import type { FleetFinding, FleetReading } from '../reading.ts';
import { rowOf, wireValue } from './column.ts';
import { columnOf, columns, columnsLike, defaultColumns, defaultSort, patchOf } from './columns.ts';
import { severityOf } from './severity.ts';

/** Only what a test reads; anything else fails. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion, typescript/no-unnecessary-type-parameters
const part = <T>(value: object): T => value as T;

describe('the tables of columns', () => {
  it.each(subjects)('of %s have each name once, with a title and a description', (subject) => {
    const names = columns[subject].map((column) => column.name);
    expect(new Set(names).size).toBe(names.length);
    for (const column of columns[subject]) {
      expect(column.title).toMatch(/^[A-Z]/);
      expect(column.description).not.toBe('');
    }
    expect(new Set(columns[subject].map((column) => column.title)).size).toBe(names.length);
  });
  it.each(subjects)('of %s have what is shown and ordered by when nobody chooses', (subject) => {
    for (const name of defaultColumns[subject]) expect(columnOf(subject, name)?.name).toBe(name);
    for (const { by } of defaultSort[subject]) expect(columnOf(subject, by)?.name).toBe(by);
  });
  it.each(subjects)('of %s show every field that can be asked, but for those that say why not', (subject) => {
    const without = fieldsOf(subject)
      .filter((field) => field.keyed !== true)
      .filter((field) => columnOf(subject, field.name) === null)
      .map((field) => field.name);
    // A result holds no fixed findings.
    const reasons = {
      finding: ['fixed_at'],
      patch: [],
      asset: [],
      vulnerability: [],
    };
    expect(without).toEqual(reasons[subject]);
  });
  it('have a column for each key of an attribute, and for nothing that has no keys', () => {
    expect(columnOf('asset', 'attribute.role')).toMatchObject({ title: 'Attribute role', type: 'text' });
    expect(columnOf('finding', 'asset.cloud.region')).toMatchObject({ name: 'asset.cloud.region' });
    for (const name of ['attribute', 'attribute.', 'hostname.x', 'cloud.a b', 'toString'])
      expect(columnOf('asset', name)).toBeNull();
    expect(columnOf('finding', 'attribute.role')).toBeNull();
    expect(columnOf('patch', 'attribute.role')).toBeNull();
  });
  it('say what may have been meant', () => {
    expect(columnsLike('asset', 'hostnam')).toEqual(['hostname']);
    expect(columnsLike('finding', 'asset.hostnmae')).toContain('asset.hostname');
  });
});

describe('a row', () => {
  const fleet = part<FleetReading>({
    assets: part({ uid: (id: number) => `uid-${String(id)}` }),
    assetRecord: (asset: number) => ({
      field: (name: string, key: string | null) =>
        ({
          hostname: `host-${String(asset)}`,
          tag: ['a', null, 'b'],
          kernel: { scheme: 'dpkg', text: '6.1.0-25' },
          last_seen: '2026-03-02T10:00:00',
          risk: 612.3456,
          reachable: null,
          booted: [],
          attribute: `role is ${String(key)}`,
        })[name],
      related: () => null,
    }),
  });
  const read = (name: string) => {
    const column = columnOf('asset', name);
    if (column === null) throw new Error(name);
    return wireValue(column, column.of(rowOf('asset', fleet, 7, 0)));
  };
  it('gives text, lists without what is not known, versions as text, dates in UTC and numbers that mean something', () => {
    expect(read('id')).toBe('uid-7');
    expect(read('hostname')).toBe('host-7');
    expect(read('tag')).toEqual(['a', 'b']);
    expect(read('kernel')).toBe('6.1.0-25');
    expect(read('last_seen')).toBe('2026-03-02T10:00:00.000Z');
    expect(read('risk')).toBe(612.3);
    expect(read('reachable')).toBeNull();
    expect(read('booted')).toBeNull();
    expect(read('attribute.role')).toBe('role is role');
  });
  it('of a finding reads the columns of its asset', () => {
    const column = columnOf('finding', 'asset.attribute.role');
    const finding = part<FleetFinding>({ asset: 9 });
    expect(column?.of(rowOf('finding', fleet, finding, 0))).toBe('role is role');
    expect(columnOf('finding', 'asset.hostname')?.of(rowOf('finding', fleet, finding, 0))).toBe('host-9');
  });
});

describe('the patch of a finding', () => {
  const finding = (verdict: object) =>
    part<FleetFinding>({
      spokesman: { software: { ecosystem: 'debian', release: '12', package: 'openssl' }, verdict },
    });
  it('is called as patches are', () => {
    const fixed = { verdict: 'vulnerable', fixState: 'available', fixedVersion: '3.0.17-1', update: null };
    expect(patchOf(finding(fixed))).toBe('debian:12/openssl@3.0.17-1');
    expect(patchOf(finding({ ...fixed, fixState: 'none_yet', fixedVersion: null }))).toBeNull();
    expect(patchOf(finding({ ...fixed, verdict: 'undetermined' }))).toBeNull();
    const update = { id: 'KB5058411', build: '10.0.26100.4061', restart: true };
    expect(
      patchOf(
        part({
          spokesman: { software: { ecosystem: 'windows', release: '' }, verdict: { ...fixed, update } },
        }),
      ),
    ).toBe('windows:/KB5058411@10.0.26100.4061');
  });
});

it('severities begin where the specification of CVSS says', () => {
  expect([null, 0, 0.1, 3.9, 4, 6.9, 7, 8.9, 9, 10].map(severityOf)).toEqual([
    null,
    'none',
    'low',
    'low',
    'medium',
    'medium',
    'high',
    'high',
    'critical',
    'critical',
  ]);
});
