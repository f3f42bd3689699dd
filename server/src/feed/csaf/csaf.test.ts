import { expect, test } from 'vitest';
import { byProduct, readCsaf, type CsafDocument } from './csaf.ts';
import { resolveProduct } from './product-tree.ts';

/** A document in the smallest form that the standard takes, with the tree and vulnerabilities of a test. */
function madeUp(tree: unknown, vulnerabilities: unknown[], document: object = {}): unknown {
  return {
    document: {
      category: 'csaf_vex',
      csaf_version: '2.0',
      title: 'a title',
      publisher: { category: 'vendor', name: 'A vendor', namespace: 'https://vendor.example' },
      aggregate_severity: { text: 'Important' },
      tracking: {
        id: 'V-1',
        status: 'final',
        version: '2',
        initial_release_date: '2024-03-05T01:00:00+01:00',
        current_release_date: 'yesterday',
        revision_history: [{ date: '2024-03-05T00:00:00Z', number: '1', summary: 'Initial version' }],
      },
      ...document,
    },
    product_tree: tree,
    vulnerabilities,
  };
}

function read(tree: unknown, vulnerabilities: unknown[] = []): CsafDocument {
  const reading = readCsaf(madeUp(tree, vulnerabilities));
  if (!reading.ok) throw new Error(reading.message);
  return reading.document;
}

const component = (id: string, purl = `pkg:rpm/vendor/${id}`) => ({
  category: 'product_version',
  name: id,
  product: { product_id: id, name: id, product_identification_helper: { purl } },
});
const part = (inner: string, outer: string) => ({
  category: 'default_component_of',
  full_product_name: { product_id: `${outer}:${inner}`, name: `${inner} as a component of ${outer}` },
  product_reference: inner,
  relates_to_product_reference: outer,
});

const tree = {
  branches: [
    {
      category: 'vendor',
      name: 'A vendor',
      branches: [
        {
          category: 'product_family',
          name: 'System',
          branches: [
            {
              category: 'product_name',
              name: 'System 9',
              product: {
                product_id: 'system-9',
                name: 'System 9',
                product_identification_helper: { cpe: 'cpe:/o:vendor:system:9' },
              },
            },
          ],
        },
        { category: 'architecture', name: 'x86_64', branches: [component('curl'), component('nodejs')] },
      ],
    },
  ],
  full_product_names: [{ product_id: 'nodejs:18', name: 'nodejs:18' }],
  // The second refers to the third, which comes after it.
  relationships: [
    part('curl', 'system-9'),
    part('nodejs', 'system-9:nodejs:18'),
    part('nodejs:18', 'system-9'),
  ],
  product_groups: [{ group_id: 'all', product_ids: ['system-9:curl', 'system-9:nodejs:18:nodejs'] }],
};

test('a product tree: branches, helpers, and relationships followed to the component and its platform', () => {
  const { tree: read9, problems } = read(tree);
  expect(problems).toEqual([]);
  expect(read9.products.get('system-9')).toEqual({
    id: 'system-9',
    name: 'System 9',
    cpe: 'cpe:/o:vendor:system:9',
    purl: null,
    branches: [
      { category: 'vendor', name: 'A vendor' },
      { category: 'product_family', name: 'System' },
      { category: 'product_name', name: 'System 9' },
    ],
    relation: null,
  });
  const resolved = resolveProduct(read9, 'system-9:nodejs:18:nodejs');
  expect(resolved?.component.purl).toBe('pkg:rpm/vendor/nodejs');
  expect(resolved?.within.map(({ id }) => id)).toEqual(['nodejs:18', 'system-9']);
  expect(resolveProduct(read9, 'curl')?.within).toEqual([]);
  expect(resolveProduct(read9, 'no-such')).toBeNull();
});

test('a vulnerability: statuses, groups as their members, remediations with restart, scores and flags', () => {
  const { vulnerabilities, tracking, aggregateSeverity } = read(tree, [
    {
      cve: 'CVE-2024-1',
      ids: [{ system_name: 'Bugzilla', text: '7' }],
      cwe: { id: 'CWE-835', name: 'Loop' },
      release_date: '2024-03-05T00:00:00+00:00',
      notes: [{ category: 'description', text: 'A flaw.', title: 'Vulnerability description' }],
      product_status: {
        fixed: ['system-9:curl', 'system-9:curl'],
        known_affected: ['system-9:nodejs:18:nodejs'],
      },
      remediations: [
        {
          category: 'vendor_fix',
          details: 'Update.',
          url: 'https://vendor.example/V-1',
          restart_required: { category: 'machine' },
          product_ids: ['system-9:curl'],
        },
        { category: 'workaround', details: 'Do not use it.', group_ids: ['all'] },
      ],
      threats: [{ category: 'impact', details: 'Low', product_ids: ['system-9:curl'] }],
      flags: [{ label: 'component_not_present', product_ids: [] }],
      scores: [{ cvss_v3: { vectorString: 'CVSS:3.1/AV:N', baseScore: 5.9 }, products: ['system-9:curl'] }],
    },
  ]);
  expect(tracking).toMatchObject({ publishedAt: '2024-03-05T00:00:00.000Z', changedAt: null, version: '2' });
  expect(tracking.revisions).toEqual([
    { at: '2024-03-05T00:00:00.000Z', number: '1', summary: 'Initial version' },
  ]);
  expect(aggregateSeverity).toBe('Important');
  const [first] = vulnerabilities;
  expect(first).toMatchObject({
    cve: 'CVE-2024-1',
    releasedAt: '2024-03-05T00:00:00.000Z',
    status: {
      fixed: ['system-9:curl'],
      known_affected: ['system-9:nodejs:18:nodejs'],
      under_investigation: [],
    },
    threats: [{ category: 'impact', details: 'Low' }],
    flags: [{ label: 'component_not_present', products: [] }],
    scores: [{ cvssV3: 'CVSS:3.1/AV:N', cvssV2: null }],
  });
  const remediations = byProduct(first?.remediations ?? []);
  expect(remediations.get('system-9:curl')?.map(({ category, restart }) => [category, restart])).toEqual([
    ['vendor_fix', { category: 'machine', details: null }],
    ['workaround', null],
  ]);
  expect(remediations.get('system-9:nodejs:18:nodejs')?.map(({ category }) => category)).toEqual([
    'workaround',
  ]);
});

test('what cannot be right is left out and named, and the rest is read', () => {
  const broken = {
    branches: [
      { category: 'vendor' },
      component('curl'),
      component('curl'),
      component('curl', 'pkg:rpm/other/curl'),
    ],
    relationships: [
      part('curl', 'nowhere'),
      { category: 'default_component_of' },
      part('a', 'curl:b'),
      part('b', 'curl:a'),
    ],
  };
  const {
    problems,
    vulnerabilities,
    tree: kept,
  } = read(broken, [
    { cve: 7 },
    {
      cve: 'CVE-2024-2',
      product_status: { fixed: ['curl', 'p1', 'p2', 'p3', 'p4'] },
      remediations: [{ category: 'vendor_fix', details: '', group_ids: ['none'] }],
    },
  ]);
  expect(problems.map(({ position, code }) => [position, code])).toEqual([
    ['product_tree/branches[0]', 'branch_invalid'],
    ['product_tree/branches[3]', 'product_defined_twice'],
    ['product_tree/relationships[1]', 'relationship_invalid'],
    ['product_tree/relationships[0]', 'product_undefined'],
    ['product_tree/relationships[2]', 'product_undefined'],
    ['product_tree/relationships[2]', 'product_undefined'],
    ['product_tree/relationships[3]', 'product_undefined'],
    ['product_tree/relationships[3]', 'product_undefined'],
    ['vulnerabilities[0]', 'vulnerability_invalid'],
    ['vulnerabilities[1]/product_status/fixed', 'product_undefined'],
    ['vulnerabilities[1]/remediations[0]', 'group_undefined'],
  ]);
  expect(problems.find(({ position }) => position.endsWith('/fixed'))?.message).toBe(
    'p1, p2, p3 and 1 more not in the product tree',
  );
  expect([...kept.products.keys()]).toEqual(['curl']);
  expect(kept.products.get('curl')?.purl).toBe('pkg:rpm/vendor/curl');
  expect(vulnerabilities.map(({ cve, index }) => [cve, index])).toEqual([['CVE-2024-2', 1]]);
});

test('relationships in a circle and branches without end are refused, not followed', () => {
  const circle = read({
    relationships: [{ ...part('b', 'b'), full_product_name: { product_id: 'b', name: 'b' } }],
  });
  expect(resolveProduct(circle.tree, 'b')).toBeNull();
  let branches: unknown[] = [component('deep')];
  for (let depth = 0; depth < 5000; depth++) branches = [{ category: 'vendor', name: 'v', branches }];
  const deep = read({ branches });
  expect(deep.problems).toMatchObject([{ code: 'branch_too_deep' }]);
  expect(deep.tree.products.size).toBe(0);
});

test.each([
  ['a list', [], 'not_csaf', null],
  ['another JSON', { document: { tracking: { id: 'V-1' } } }, 'not_csaf', 'V-1'],
  ['another version', madeUp({}, [], { csaf_version: '2.1' }), 'csaf_version_unknown', 'V-1'],
])('%s is refused', (_, value, code, id) => {
  expect(readCsaf(value)).toMatchObject({ ok: false, code, id });
});
