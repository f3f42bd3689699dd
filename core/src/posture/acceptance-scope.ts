/**
 * What the scope of a risk acceptance may ask. An acceptance decides the status of findings, and from that follow risks, due
 * dates and numbers of open findings; a scope that asked for one of those would depend on itself. And it is judged for a
 * vulnerability in a package at once, on all assets, so it asks for nothing that only a single finding has.
 */
import { nearest } from '../query/nearest.ts';
import { parse } from '../query/parse.ts';
import type { CompareNode, Node, Query, QueryNote, QueryRefusal, Span } from '../query/query.ts';
import { expandWord } from '../query/words.ts';
import { asksTag } from '../tag/definition.ts';
import { namedOutright, tagsAsked, type TagGraph } from '../tag/dependencies.ts';
import { isPairField } from './pair-facts.ts';
import { strataOf } from './strata.ts';

export interface AcceptanceScopeRefusal extends Span {
  readonly ok: false;
  readonly code:
    | 'acceptance_scope_empty'
    | 'acceptance_scope_asks_result'
    | 'acceptance_scope_asks_single_finding'
    | 'acceptance_scope_asks_all_tags'
    | 'acceptance_scope_asks_last_tag'
    | 'acceptance_scope_tag_pattern'
    | 'tag_unknown';
  readonly message: string;
  readonly what_to_do: string;
  readonly suggestions: readonly string[];
}

/** Tags as scopes need them: all that there are, and which of them are judged behind acceptances (strata.ts). */
export interface ScopeTags {
  readonly names: Iterable<string>;
  isLate(name: string): boolean;
}

export function scopeTags(graph: TagGraph): ScopeTags {
  let late: ReadonlySet<string> | null = null;
  return { names: graph.order, isLate: (name) => (late ??= new Set(strataOf(graph).last)).has(name) };
}

export type AcceptanceScopeRead =
  | { readonly ok: true; readonly query: Query; readonly notes: readonly QueryNote[] }
  | QueryRefusal
  | AcceptanceScopeRefusal;

/** Reads the scope of an acceptance, or says what is wrong with it and where. */
export function readAcceptanceScope(text: string, tags: ScopeTags): AcceptanceScopeRead {
  const read = parse(text, 'finding');
  if (!read.ok) return read;
  return acceptanceScopeRefusal(read.query, tags, text.length) ?? read;
}

/** Null when the query may be the scope of an acceptance. `length` is that of its text. */
export function acceptanceScopeRefusal(
  query: Query,
  tags: ScopeTags,
  length = 0,
): AcceptanceScopeRefusal | null {
  if (query.root === null)
    return refuse(
      'acceptance_scope_empty',
      'an empty scope would accept every finding there is',
      'name what is accepted, for example: vulnerability = CVE-2024-6387 and asset.tag = lab',
      { at: 0, length },
    );
  return judge(query.root, '', tags);
}

function judge(node: Node, path: string, tags: ScopeTags): AcceptanceScopeRefusal | null {
  switch (node.kind) {
    case 'and':
    case 'or':
      for (const part of node.parts) {
        const refusal = judge(part, path, tags);
        if (refusal !== null) return refusal;
      }
      return null;
    case 'not':
      return judge(node.part, path, tags);
    case 'word':
      return judge(expandWord(node), path, tags);
    case 'has': {
      const { relation, scope } = node;
      if (relation === 'finding' || relation === 'patch') return asksResult(`${path}${relation}`, node);
      // A vulnerability and a package lead to nothing else; an asset to its packages, which are facts.
      if (scope !== 'finding' && !(scope === 'asset' && relation === 'package'))
        return asksResult(`${path}${relation}`, node);
      return node.where === null ? null : judge(node.where, `${path}${relation}.`, tags);
    }
    case 'compare':
      return judgeComparison(node, path, tags);
    default:
      return node satisfies never;
  }
}

/** What is only known once the statuses of findings are. */
const results: ReadonlySet<string> = new Set(['status', 'due', 'accepted_until', 'affected_assets']);

function judgeComparison(node: CompareNode, path: string, tags: ScopeTags): AcceptanceScopeRefusal | null {
  const { scope, field } = node;
  const name = `${path}${field}`;
  if (path.startsWith('asset.')) {
    if (scope !== 'asset') return null;
    if (field === 'risk' || field === 'open_findings') return asksResult(name, node);
    return asksTag(node) ? judgeTags(node, name, tags) : null;
  }
  if (isPairField(scope, field)) return null;
  if (results.has(field)) return asksResult(name, node);
  return refuse(
    'acceptance_scope_asks_single_finding',
    `${name} differs between the findings of one vulnerability, and an acceptance is for all of them on the assets that it covers`,
    'ask for facts of the vulnerability, of its package (name, source, ecosystem) and of the asset',
    node,
  );
}

function judgeTags(node: CompareNode, name: string, tags: ScopeTags): AcceptanceScopeRefusal | null {
  if (node.condition.op === 'is_known' || node.condition.op === 'is_unknown')
    return refuse(
      'acceptance_scope_asks_all_tags',
      'that asks about every tag, also those that depend on accepted risk',
      'name the tags: asset.tag = NAME, asset.tag in (NAME, NAME)',
      node,
    );
  const names = [...tags.names];
  const outright = namedOutright(node.condition);
  for (const tag of outright) {
    if (names.includes(tag.toLowerCase())) continue;
    const suggestions = nearest(tag, names);
    return refuse(
      'tag_unknown',
      `${name} asks for the tag ${tag}, and there is no such tag`,
      `make the tag ${tag} first, or name another`,
      node,
      suggestions,
    );
  }
  const last = tagsAsked(node, names).find((tag) => tags.isLate(tag));
  if (last !== undefined)
    return refuse(
      'acceptance_scope_asks_last_tag',
      `the tag ${last} depends on criticality, findings or risk, and those depend on what is accepted`,
      'name tags whose rules ask for facts of assets alone, or write their conditions into the scope',
      node,
    );
  const { condition } = node;
  const asked = 'values' in condition ? condition.values.length : 1;
  if (outright.length < asked)
    return refuse(
      'acceptance_scope_tag_pattern',
      'a pattern would also take in tags that are made later, for something else',
      'name the tags: asset.tag in (NAME, NAME)',
      node,
    );
  return null;
}

function asksResult(name: string, place: Span): AcceptanceScopeRefusal {
  return refuse(
    'acceptance_scope_asks_result',
    `${name} depends on what is accepted, so no acceptance can ask for it`,
    'ask for facts of the vulnerability, of its package (name, source, ecosystem) and of the asset',
    place,
  );
}

function refuse(
  code: AcceptanceScopeRefusal['code'],
  message: string,
  what_to_do: string,
  { at, length }: Span,
  suggestions: readonly string[] = [],
): AcceptanceScopeRefusal {
  return { ok: false, code, message, what_to_do, at, length, suggestions };
}
