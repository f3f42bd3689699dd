/**
 * What a tag is: a named set of assets, given by a rule, by a fixed list or by ranges of addresses. A tag may have a parent;
 * whoever is in the tag is in its parent too.
 */
import { parseIpAddress, parseIpNetwork } from '../query/address.ts';
import { parse } from '../query/parse.ts';
import type { CompareNode, Node, Query, QueryNote, QueryRefusal } from '../query/query.ts';
import { expandWord } from '../query/words.ts';

export const tagLimits = { description_characters: 1_000, listed_assets: 100_000, ranges: 1_000 } as const;

/** The same grammar as in the contract. */
export const tagNamePattern = /^[a-z0-9][a-z0-9._/-]{0,62}$/;

/** As it comes over the wire. Exactly one of `rule`, `assets` and `ranges` says who is in it. */
export interface TagDefinitionRequest {
  readonly name: string;
  readonly description?: string | undefined;
  /** Name of the tag that this one is nested in. */
  readonly parent?: string | null | undefined;
  /** A query over assets. */
  readonly rule?: string | undefined;
  /** Ids of assets; may be empty. */
  readonly assets?: readonly string[] | undefined;
  /** `10.0.0.0/8`, `2001:db8::/32`, `10.0.0.1`, `10.0.0.1-10.0.0.9` (also with `–` or `..`). */
  readonly ranges?: readonly string[] | undefined;
}

export interface AddressRange {
  readonly family: 4 | 6;
  /** First and last address, both included, as numbers. */
  readonly first: bigint;
  readonly last: bigint;
  /** As it was written. */
  readonly text: string;
}

/** The assets that a fixed list names, by id. A set of texts is one; whoever holds many has something smaller. */
export interface ListedAssets extends Iterable<string> {
  readonly size: number;
  has(id: string): boolean;
}

export type TagMembers =
  | { readonly kind: 'rule'; readonly text: string; readonly query: Query }
  | { readonly kind: 'list'; readonly assets: ListedAssets }
  | { readonly kind: 'ranges'; readonly ranges: readonly AddressRange[] };

export interface TagDefinition {
  readonly name: string;
  readonly description: string;
  readonly parent: string | null;
  readonly members: TagMembers;
}

export type TagRefusalCode =
  | 'tag_name_invalid'
  | 'tag_description_too_long'
  | 'tag_parent_invalid'
  | 'tag_parent_itself'
  | 'tag_members_missing'
  | 'tag_members_ambiguous'
  | 'tag_rule_empty'
  | 'tag_rule_asks_all_tags'
  | 'tag_rule_asks_related_tags'
  | 'tag_assets_too_many'
  | 'tag_asset_blank'
  | 'tag_asset_repeated'
  | 'tag_ranges_empty'
  | 'tag_ranges_too_many'
  | 'tag_range_invalid'
  | 'tag_range_mixed'
  | 'tag_range_reversed';

export interface TagRefusal {
  readonly ok: false;
  readonly code: TagRefusalCode;
  readonly message: string;
  readonly what_to_do: string;
  /** JSON pointer into the request. */
  readonly path: string;
  /** In a rule: where, in UTF-16 units of its text. */
  readonly at?: number;
  readonly length?: number;
}

/** What the query language refuses in a rule, with its own code and place. */
export type TagRuleRefusal = QueryRefusal & { readonly path: '/rule' };

export type TagParse =
  | { readonly ok: true; readonly definition: TagDefinition; readonly notes: readonly QueryNote[] }
  | TagRefusal
  | TagRuleRefusal;

function refuse(
  code: TagRefusalCode,
  path: string,
  message: string,
  what_to_do: string,
  place: { readonly at?: number; readonly length?: number } = {},
): TagRefusal {
  return { ok: false, code, message, what_to_do, path, ...place };
}

const nameAdvice =
  'use small letters, digits, and . _ / - after the first character; at most 63 characters in all';

/** Reads one definition. That its parent and the tags in its rule exist is judged with all tags: dependencies.ts. */
export function parseTagDefinition(request: TagDefinitionRequest): TagParse {
  const { name, description = '', parent = null } = request;
  if (!tagNamePattern.test(name))
    return refuse('tag_name_invalid', '/name', `${shown(name)} is no name of a tag`, nameAdvice);
  if (description.length > tagLimits.description_characters)
    return refuse(
      'tag_description_too_long',
      '/description',
      `a description has at most ${tagLimits.description_characters} characters, and this one has ${description.length}`,
      'shorten it',
    );
  if (parent !== null && !tagNamePattern.test(parent))
    return refuse('tag_parent_invalid', '/parent', `${shown(parent)} is no name of a tag`, nameAdvice);
  if (parent === name)
    return refuse(
      'tag_parent_itself',
      '/parent',
      `${name} cannot be nested in itself`,
      'name another tag, or leave the parent out',
    );
  const given = (['rule', 'assets', 'ranges'] as const).filter((each) => request[each] !== undefined);
  if (given.length > 1)
    return refuse(
      'tag_members_ambiguous',
      `/${given[1] ?? ''}`,
      `a tag has one of rule, assets and ranges, and this one has ${given.join(' and ')}`,
      'make a tag for each, and nest them in one parent',
    );
  const read = parseMembers(request);
  if (!read.ok) return read;
  return { ok: true, definition: { name, description, parent, members: read.members }, notes: read.notes };
}

type MembersParse =
  | { readonly ok: true; readonly members: TagMembers; readonly notes: readonly QueryNote[] }
  | TagRefusal
  | TagRuleRefusal;

function parseMembers({ rule, assets, ranges }: TagDefinitionRequest): MembersParse {
  if (rule !== undefined) return parseRule(rule);
  if (assets !== undefined) return parseList(assets);
  if (ranges !== undefined) return parseRanges(ranges);
  return refuse(
    'tag_members_missing',
    '',
    'nothing says who is in the tag',
    'give a rule, a list of assets (it may be empty) or ranges of addresses',
  );
}

function parseRule(text: string): MembersParse {
  const read = parse(text, 'asset');
  if (!read.ok) return { ...read, path: '/rule' };
  // An empty query is everything; in a rule that is rather a slip, and what is deployed to a tag would go everywhere.
  if (read.query.root === null)
    return refuse(
      'tag_rule_empty',
      '/rule',
      'an empty rule would hold for every asset',
      'write a condition; if every asset is meant, hostname = *',
      { at: 0, length: text.length },
    );
  for (const { node, relations } of comparisonsOf(read.query)) {
    const { at, length } = node;
    if (!asksTag(node)) continue;
    if (relations.length > 0)
      return refuse(
        'tag_rule_asks_related_tags',
        '/rule',
        `a rule asks for tags of the asset itself, not of one behind ${relations.join('.')}`,
        'write tag = NAME without a relation before it',
        { at, length },
      );
    if (node.condition.op === 'is_known' || node.condition.op === 'is_unknown')
      return refuse(
        'tag_rule_asks_all_tags',
        '/rule',
        'that asks about every tag, this one included',
        'name the tags: tag = NAME, tag in (NAME, NAME)',
        { at, length },
      );
  }
  return { ok: true, members: { kind: 'rule', text, query: read.query }, notes: read.notes };
}

function parseList(assets: readonly string[]): MembersParse {
  if (assets.length > tagLimits.listed_assets)
    return refuse(
      'tag_assets_too_many',
      '/assets',
      `a list holds at most ${tagLimits.listed_assets} assets, and this one holds ${assets.length}`,
      'use a rule, or nest several lists in one tag',
    );
  const seen = new Set<string>();
  for (const [index, id] of assets.entries()) {
    if (id.trim() === '')
      return refuse('tag_asset_blank', `/assets/${index}`, 'the id of an asset is blank', 'leave it out');
    if (seen.has(id))
      return refuse(
        'tag_asset_repeated',
        `/assets/${index}`,
        `${shown(id)} is named more than once`,
        'name it once',
      );
    seen.add(id);
  }
  return { ok: true, members: { kind: 'list', assets: seen }, notes: [] };
}

function parseRanges(texts: readonly string[]): MembersParse {
  if (texts.length === 0)
    return refuse(
      'tag_ranges_empty',
      '/ranges',
      'there is no range',
      'give at least one, such as 10.0.0.0/8',
    );
  if (texts.length > tagLimits.ranges)
    return refuse(
      'tag_ranges_too_many',
      '/ranges',
      `a tag has at most ${tagLimits.ranges} ranges, and this one has ${texts.length}`,
      'join neighbouring ranges, or nest several tags in one',
    );
  const ranges: AddressRange[] = [];
  for (const [index, text] of texts.entries()) {
    const range = parseRange(text, `/ranges/${index}`);
    if ('ok' in range) return range;
    ranges.push(range);
  }
  return { ok: true, members: { kind: 'ranges', ranges }, notes: [] };
}

/** A range of addresses as a person writes it. `path`: where it stands in the request. */
export function parseRange(written: string, path: string): AddressRange | TagRefusal {
  const text = written.trim();
  const network = parseIpNetwork(text);
  if (network !== null) return { ...network, text };
  const match = text.length > 140 ? null : /^([^\s–-]+?)\s*(?:-|–|\.\.)\s*([^\s–-]+)$/.exec(text);
  const first = match === null ? null : parseIpAddress(match[1] ?? '');
  const last = match === null ? null : parseIpAddress(match[2] ?? '');
  if (first === null || last === null)
    return refuse(
      'tag_range_invalid',
      path,
      `${shown(text)} is no range of addresses`,
      'write a network (10.0.0.0/8, 2001:db8::/32), an address, or the first and the last (10.0.0.1-10.0.0.9)',
    );
  if (first.family !== last.family)
    return refuse(
      'tag_range_mixed',
      path,
      `${shown(text)} begins with IPv${first.family} and ends with IPv${last.family}`,
      'write a range for each',
    );
  if (first.value > last.value)
    return refuse('tag_range_reversed', path, `${shown(text)} ends before it begins`, 'exchange its ends');
  return { family: first.family, first: first.value, last: last.value, text };
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}

/** A comparison of a rule, and the relations that lead from the asset to what is compared. */
export interface PlacedComparison {
  readonly node: CompareNode;
  readonly relations: readonly string[];
}

/** Every comparison of a query, free words as what they stand for. */
export function comparisonsOf(query: Query): PlacedComparison[] {
  const found: PlacedComparison[] = [];
  const visit = (node: Node, relations: readonly string[]): void => {
    if (node.kind === 'compare') found.push({ node, relations });
    else if (node.kind === 'has') {
      if (node.where !== null) visit(node.where, [...relations, node.relation]);
    } else if (node.kind === 'not') visit(node.part, relations);
    else if (node.kind === 'word') visit(expandWord(node), relations);
    else for (const part of node.parts) visit(part, relations);
  };
  if (query.root !== null) visit(query.root, []);
  return found;
}

export function asksTag({ scope, field }: CompareNode): boolean {
  return scope === 'asset' && field === 'tag';
}
