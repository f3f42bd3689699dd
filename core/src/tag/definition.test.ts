import { describe, expect, test } from 'vitest';
import { parseTagDefinition, type TagDefinitionRequest } from './definition.ts';

describe('refusals', () => {
  test.each<[string, TagDefinitionRequest, string, string]>([
    ['capitals in a name', { name: 'Web', assets: [] }, 'tag_name_invalid', '/name'],
    ['a long name', { name: 'a'.repeat(64), assets: [] }, 'tag_name_invalid', '/name'],
    ['a line end behind a name', { name: 'web\n', assets: [] }, 'tag_name_invalid', '/name'],
    [
      'a long description',
      { name: 'a', description: 'x'.repeat(1001), assets: [] },
      'tag_description_too_long',
      '/description',
    ],
    ['a parent that is no name', { name: 'a', parent: 'B', assets: [] }, 'tag_parent_invalid', '/parent'],
    ['itself as parent', { name: 'a', parent: 'a', assets: [] }, 'tag_parent_itself', '/parent'],
    ['nothing', { name: 'a' }, 'tag_members_missing', ''],
    ['two of three', { name: 'a', rule: 'os = debian', assets: [] }, 'tag_members_ambiguous', '/assets'],
    ['an empty rule', { name: 'a', rule: '  ' }, 'tag_rule_empty', '/rule'],
    ['all tags', { name: 'a', rule: 'not tag is unknown' }, 'tag_rule_asks_all_tags', '/rule'],
    [
      'tags of others',
      { name: 'a', rule: 'has finding (asset.tag = b)' },
      'tag_rule_asks_related_tags',
      '/rule',
    ],
    ['an asset twice', { name: 'a', assets: ['1', '2', '1'] }, 'tag_asset_repeated', '/assets/2'],
    ['a blank asset', { name: 'a', assets: [' '] }, 'tag_asset_blank', '/assets/0'],
    ['no range', { name: 'a', ranges: [] }, 'tag_ranges_empty', '/ranges'],
    ['a wrong prefix', { name: 'a', ranges: ['10.0.0.0/33'] }, 'tag_range_invalid', '/ranges/0'],
    [
      'both families',
      { name: 'a', ranges: ['10.0.0.0/8', '10.0.0.1-2001:db8::1'] },
      'tag_range_mixed',
      '/ranges/1',
    ],
    ['a range backwards', { name: 'a', ranges: ['10.0.0.9-10.0.0.1'] }, 'tag_range_reversed', '/ranges/0'],
  ])('%s', (_, request, code, path) => {
    const read = parseTagDefinition(request);
    expect(read).toMatchObject({ ok: false, code, path });
    if (read.ok) return;
    expect(read.message).not.toBe('');
    expect(read.what_to_do).not.toBe('');
  });

  test('a rule that is no query is refused with the place and suggestions of the query language', () => {
    expect(parseTagDefinition({ name: 'a', rule: 'os = debian and hostnme = x' })).toMatchObject({
      ok: false,
      code: 'unknown_field',
      path: '/rule',
      at: 16,
      length: 7,
      suggestions: expect.arrayContaining(['hostname']),
    });
  });

  test('the place of a tag that may not be asked for', () => {
    expect(parseTagDefinition({ name: 'a', rule: 'os = debian and tag is known' })).toMatchObject({ at: 16 });
  });
});

test.each([
  ['10.1.2.3', 4, '167838211', '167838211'],
  ['10.0.0.0/30', 4, '167772160', '167772163'],
  ['10.0.0.1-10.0.0.9', 4, '167772161', '167772169'],
  ['10.0.0.1 – 10.0.0.9', 4, '167772161', '167772169'],
  ['10.0.0.1..10.0.0.9', 4, '167772161', '167772169'],
  ['::1-::ff', 6, '1', '255'],
  ['::/127', 6, '0', '1'],
])('range %s', (text, family, first, last) => {
  const read = parseTagDefinition({ name: 'a', ranges: [text] });
  expect(read).toMatchObject({
    ok: true,
    definition: { members: { ranges: [{ family, first: BigInt(first), last: BigInt(last), text }] } },
  });
});

test('a list may be empty, and description and parent may be left out', () => {
  expect(parseTagDefinition({ name: 'a/b.c_d-1', assets: [] })).toEqual({
    ok: true,
    definition: {
      name: 'a/b.c_d-1',
      description: '',
      parent: null,
      members: { kind: 'list', assets: new Set() },
    },
    notes: [],
  });
});
