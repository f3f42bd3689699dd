/**
 * What criticality rules and SLA rules may ask, so that nothing depends on itself (strata.ts). What acceptances may is in
 * acceptance-scope.ts.
 */
import { nearest } from '../query/nearest.ts';
import { parse } from '../query/parse.ts';
import type { Query, QueryNote, QueryRefusal, Span } from '../query/query.ts';
import { asksTag, comparisonsOf } from '../tag/definition.ts';
import { namedOutright, tagsAsked, type TagGraph } from '../tag/dependencies.ts';
import { judgedFactOf, lastTags, whyLast } from './strata.ts';

export interface RuleRefusal extends Span {
  readonly ok: false;
  readonly code:
    | 'rule_empty'
    | 'rule_asks_judged_fact'
    | 'rule_asks_related_tags'
    | 'rule_asks_all_tags'
    | 'rule_asks_last_tag'
    | 'tag_unknown';
  readonly message: string;
  readonly what_to_do: string;
  readonly suggestions: readonly string[];
}

export type CriticalityQueryRead =
  | { readonly ok: true; readonly query: Query; readonly notes: readonly QueryNote[] }
  | QueryRefusal
  | RuleRefusal;

/** Reads the query of a criticality rule, or says what is wrong with it and where. */
export function readCriticalityQuery(text: string, graph: TagGraph): CriticalityQueryRead {
  const read = parse(text, 'asset');
  if (!read.ok) return read;
  if (read.query.root === null)
    return refuse('rule_empty', 'an empty rule would hold for every asset', {
      at: 0,
      length: text.length,
      what_to_do: 'write a condition; if every asset is meant, hostname = *',
    });
  return ruleRefusal(read.query, graph) ?? read;
}

/** Null when a query over assets may be a criticality rule: it asks for nothing that is judged behind criticality. */
export function ruleRefusal(query: Query, graph: TagGraph): RuleRefusal | null {
  for (const { node, relations } of comparisonsOf(query)) {
    const { at, length } = node;
    if (asksTag(node)) {
      if (relations.length > 0)
        return refuse(
          'rule_asks_related_tags',
          `a rule asks for tags of the asset itself, not of one behind ${relations.join('.')}`,
          { at, length, what_to_do: 'write tag = NAME without a relation before it' },
        );
      const { condition } = node;
      if (condition.op === 'is_known' || condition.op === 'is_unknown')
        return refuse(
          'rule_asks_all_tags',
          'that asks about every tag, also those that ask for criticality',
          {
            at,
            length,
            what_to_do: 'name the tags: tag = NAME, tag in (NAME, NAME)',
          },
        );
      const refusal = tagsRefusal(namedOutright(condition), tagsAsked(node, graph.order), graph, node);
      if (refusal !== null) return refusal;
      continue;
    }
    const fact = judgedFactOf([[...relations, node.field].join('.')]);
    if (fact !== null) return judgedFact(fact, node);
  }
  const { root } = query;
  const related = root === null ? null : judgedRelation(root);
  return related === null ? null : judgedFact(related.relation, related);
}

/** Null when an SLA rule may ask for these tags. `at` is the index of the tag. */
export function slaRuleRefusal(tags: readonly string[], graph: TagGraph): RuleRefusal | null {
  for (const [at, name] of tags.entries()) {
    const refusal = tagsRefusal([name], [name], graph, { at, length: 1 });
    if (refusal !== null) return refusal;
  }
  return null;
}

function tagsRefusal(
  outright: readonly string[],
  asked: readonly string[],
  graph: TagGraph,
  { at, length }: Span,
): RuleRefusal | null {
  for (const name of outright)
    if (!graph.definitions.has(name.toLowerCase()))
      return refuse('tag_unknown', `there is no tag ${name}`, {
        at,
        length,
        what_to_do: `make the tag ${name} first, or name another`,
        suggestions: nearest(name, graph.order),
      });
  const last = lastTags(graph);
  const found = asked.find((name) => last.has(name));
  if (found === undefined) return null;
  return refuse(
    'rule_asks_last_tag',
    `the tag ${found} depends on what follows from this rule: ${whyLast(graph, found)}`,
    { at, length, what_to_do: 'name tags that ask only for facts of assets and their packages' },
  );
}

/** `has finding` without a condition is no comparison. */
function judgedRelation(node: NonNullable<Query['root']>): (Span & { readonly relation: string }) | null {
  switch (node.kind) {
    case 'and':
    case 'or':
      for (const part of node.parts) {
        const found = judgedRelation(part);
        if (found !== null) return found;
      }
      return null;
    case 'not':
      return judgedRelation(node.part);
    case 'has':
      return judgedFactOf([node.relation]) === null ? null : node;
    default:
      return null;
  }
}

function judgedFact(fact: string, { at, length }: Span): RuleRefusal {
  return refuse(
    'rule_asks_judged_fact',
    `${fact} follows from criticality, so no criticality rule can ask for it`,
    {
      at,
      length,
      what_to_do: 'ask for facts of the asset and its packages, or for tags that do',
    },
  );
}

function refuse(
  code: RuleRefusal['code'],
  message: string,
  place: Span & { readonly what_to_do: string; readonly suggestions?: readonly string[] },
): RuleRefusal {
  const { at, length, what_to_do, suggestions = [] } = place;
  return { ok: false, code, message, what_to_do, at, length, suggestions };
}
