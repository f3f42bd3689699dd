import { describe, expect, test } from 'vitest';
import { parseTagDefinition } from '../tag/definition.ts';
import { tagGraph } from '../tag/dependencies.ts';
import { readAcceptanceScope, scopeTags, type ScopeTags } from './acceptance-scope.ts';

const tags: ScopeTags = { names: ['lab', 'prod', 'risky'], isLate: (name) => name === 'risky' };

describe('the scope of an acceptance', () => {
  test.each([
    ['', 'acceptance_scope_empty', ''],
    ['status = open', 'acceptance_scope_asks_result', 'status = open'],
    ['vulnerability = CVE-1 and due < 3d', 'acceptance_scope_asks_result', 'due < 3d'],
    ['accepted_until is known', 'acceptance_scope_asks_result', 'accepted_until is known'],
    ['asset.risk > 10', 'acceptance_scope_asks_result', 'asset.risk > 10'],
    ['asset.open_findings > 1', 'acceptance_scope_asks_result', 'asset.open_findings > 1'],
    ['has asset (has finding (cvss > 5))', 'acceptance_scope_asks_result', '(has finding (cvss > 5))'],
    ['asset.finding.cvss > 5', 'acceptance_scope_asks_result', 'asset.finding.cvss > 5'],
    ['patch.needs_reboot', 'acceptance_scope_asks_result', 'patch.needs_reboot'],
    [
      'vulnerability.affected_assets > 1',
      'acceptance_scope_asks_result',
      'vulnerability.affected_assets > 1',
    ],
    ['first_seen < 3d', 'acceptance_scope_asks_single_finding', 'first_seen < 3d'],
    ['not reopened', 'acceptance_scope_asks_single_finding', 'reopened'],
    ['fixed_at < 3d', 'acceptance_scope_asks_single_finding', 'fixed_at < 3d'],
    ['risk > 50', 'acceptance_scope_asks_single_finding', 'risk > 50'],
    ['package.version < 3', 'acceptance_scope_asks_single_finding', 'package.version < 3'],
    ['asset.tag is unknown', 'acceptance_scope_asks_all_tags', 'asset.tag is unknown'],
    ['asset.tag = risky', 'acceptance_scope_asks_last_tag', 'asset.tag = risky'],
    ['asset.tag = la*', 'acceptance_scope_tag_pattern', 'asset.tag = la*'],
    ['asset.tag in (lab, pro*)', 'acceptance_scope_tag_pattern', 'asset.tag in (lab, pro*)'],
    ['asset.tag = labb', 'tag_unknown', 'asset.tag = labb'],
    ['cvs > 3', 'unknown_field', 'cvs'],
  ])('%s is refused where it stands', (text, code, place) => {
    const read = readAcceptanceScope(text, tags);
    if (read.ok) throw new Error('it was not refused');
    expect(read.code).toBe(code);
    expect(text.slice(read.at, read.at + read.length)).toBe(place);
    expect(read.what_to_do).not.toBe('');
  });

  test.each([
    'vulnerability = CVE-2024-6387 and asset.tag = lab',
    'asset.criticality < 3 and severity <= medium and not exploited',
    'package.source = openssl and asset.package.version < 3 and published > 1y',
    'openssh',
  ])('%s is taken', (text) => expect(readAcceptanceScope(text, tags).ok).toBe(true));

  test('a tag is late by what it asks for, or by a tag that it needs', () => {
    const definitions = [
      { name: 'grave', rule: 'finding.cvss > 9' },
      { name: 'both', rule: 'tag = grave or os = debian' },
      { name: 'plain', rule: 'os = debian' },
    ].map((request) => {
      const read = parseTagDefinition(request);
      if (!read.ok) throw new Error(read.message);
      return read.definition;
    });
    const built = tagGraph(definitions);
    if (!built.ok) throw new Error(built.message);
    const known = scopeTags(built.graph);
    const codes = ['grave', 'both', 'plain'].map((name) => {
      const read = readAcceptanceScope(`asset.tag = ${name}`, known);
      return read.ok ? 'taken' : read.code;
    });
    expect(codes).toEqual(['acceptance_scope_asks_last_tag', 'acceptance_scope_asks_last_tag', 'taken']);
  });
});
