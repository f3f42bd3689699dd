import { describe, expect, test } from 'vitest';
import { parse } from '../query/parse.ts';
import { parseTagDefinition, type TagDefinition, type TagDefinitionRequest } from '../tag/definition.ts';
import { tagGraph, type TagGraph } from '../tag/dependencies.ts';
import { readCriticalityQuery, ruleRefusal, slaRuleRefusal } from './scope-refusals.ts';
import { isLast, strataOf, whyLast } from './strata.ts';

function graphOf(requests: readonly TagDefinitionRequest[]): TagGraph {
  const definitions = requests.map((request): TagDefinition => {
    const read = parseTagDefinition(request);
    if (!read.ok) throw new Error(read.message);
    return read.definition;
  });
  const built = tagGraph(definitions);
  if (!built.ok) throw new Error(built.message);
  return built.graph;
}

const graph = graphOf([
  { name: 'web', rule: 'hostname = web-* and has package (name = nginx)' },
  { name: 'shop', parent: 'all', rule: 'tag = web' },
  { name: 'hot', parent: 'all', rule: 'has finding (vulnerability.id = CVE-2024-6387)' },
  { name: 'all', assets: [] },
  { name: 'vital', rule: 'criticality >= 4' },
  { name: 'odd', rule: 'tag = v*' },
  { name: 'patched', rule: 'not has patch' },
]);

describe('strata', () => {
  test('what asks for findings, risk, criticality or patches, by whatever way, is last', () => {
    expect(strataOf(graph)).toEqual({
      first: ['web', 'shop'],
      last: ['hot', 'patched', 'vital', 'odd', 'all'],
    });
    expect(isLast(graph, 'all')).toBe(true);
    expect(whyLast(graph, 'hot')).toBe('it asks for finding');
    expect(whyLast(graph, 'odd')).toBe('it needs vital, which asks for criticality');
    expect(whyLast(graph, 'all')).toBe('it needs hot, which asks for finding');
  });
});

describe('a criticality rule', () => {
  const refused = (text: string) => {
    const read = readCriticalityQuery(text, graph);
    return read.ok ? null : [read.code, text.slice(read.at, read.at + read.length)];
  };
  test.each([
    ['hostname = db* and tag = shop and package = nginx', null],
    ['tag = w* or tag in (shop, web)', null],
    ['os = debian and criticality < 3', ['rule_asks_judged_fact', 'criticality < 3']],
    ['not risk > 100', ['rule_asks_judged_fact', 'risk > 100']],
    ['open_findings > 0', ['rule_asks_judged_fact', 'open_findings > 0']],
    ['has finding', ['rule_asks_judged_fact', 'has finding']],
    ['os = debian or has finding (cvss > 9)', ['rule_asks_judged_fact', '(cvss > 9)']],
    ['has package (name = x) and tag = all', ['rule_asks_last_tag', 'tag = all']],
    ['tag != odd', ['rule_asks_last_tag', 'tag != odd']],
    ['tag = v*', ['rule_asks_last_tag', 'tag = v*']],
    ['tag = shopp', ['tag_unknown', 'tag = shopp']],
    ['tag is unknown', ['rule_asks_all_tags', 'tag is unknown']],
    ['hostnam = x', ['unknown_field', 'hostnam']],
    ['  ', ['rule_empty', '  ']],
  ] as const)('%s', (text, expected) => {
    expect(refused(text)).toEqual(expected);
  });
  test('is told of near names and the way round', () => {
    expect(readCriticalityQuery('tag = shopp', graph)).toMatchObject({ suggestions: ['shop'] });
    expect(readCriticalityQuery('tag = all', graph)).toMatchObject({
      message: expect.stringContaining('it needs hot, which asks for finding'),
    });
    const read = parse('tag = web', 'asset');
    expect(read.ok && ruleRefusal(read.query, graph)).toBeNull();
  });
});

test('an SLA rule names first tags only', () => {
  expect(slaRuleRefusal(['web', 'shop'], graph)).toBeNull();
  expect(slaRuleRefusal(['web', 'vital'], graph)).toMatchObject({ code: 'rule_asks_last_tag', at: 1 });
  expect(slaRuleRefusal(['wev'], graph)).toMatchObject({ code: 'tag_unknown', suggestions: ['web'] });
});
