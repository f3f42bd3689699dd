import { acceptanceScopeRefusal } from '@fixpoint/core/posture/acceptance-scope.ts';
import { assetSet, type ReadonlyAssetSet } from '@fixpoint/core/posture/asset-set.ts';
import { ListedAssetSet } from '@fixpoint/core/posture/listed-assets.ts';
import { ruleRefusal, slaRuleRefusal } from '@fixpoint/core/posture/scope-refusals.ts';
import { isLast } from '@fixpoint/core/posture/strata.ts';
import { parse } from '@fixpoint/core/query/parse.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';
import type { QueryNote } from '@fixpoint/core/query/query.ts';
import {
  asksTag,
  comparisonsOf,
  parseTagDefinition,
  type TagDefinition,
  type TagDefinitionRequest,
  type TagRefusal,
  type TagRuleRefusal,
} from '@fixpoint/core/tag/definition.ts';
import {
  namedOutright,
  tagGraph,
  type TagGraph,
  type TagGraphRefusal,
} from '@fixpoint/core/tag/dependencies.ts';
import type { Problem } from '@fixpoint/contract/error.ts';
import type { TagNeed } from '@fixpoint/contract/tag.ts';
import type { Transact } from '../context.ts';
import { answer, refuse, type Answer, type Refusal } from '../refusal.ts';
import { allTags, lockDefinitions, type TagDefinitionRow, type TagUsers } from './store.ts';

/** Definitions of tags, judged all together with everything that names them. */

export interface ReadDefinition {
  readonly definition: TagDefinition;
  readonly notes: readonly QueryNote[];
}

/** Reads what somebody sends. `listed` are the ids that `assets` stands for, where the tag is a list. */
export function readDefinition(
  request: TagDefinitionRequest,
  listed: ReadonlyAssetSet = assetSet(),
): Answer<ReadDefinition> {
  const read = parseTagDefinition(request);
  if (!read.ok) return definitionRefused(read);
  const { definition, notes } = read;
  if (definition.members.kind !== 'list') return answer({ definition, notes });
  const members = { kind: 'list', assets: new ListedAssetSet(listed) } as const;
  return answer({ definition: { ...definition, members }, notes });
}

/** What is stored was read once; that it cannot be read any more is an outage. Lists come without who is in them. */
export function storedDefinition({
  name,
  description,
  parent,
  rule,
  ranges,
}: TagDefinitionRow): TagDefinition {
  const read = readDefinition({
    name,
    description,
    parent,
    ...(rule === null ? {} : { rule }),
    ...(ranges === null ? {} : { ranges }),
    ...(rule === null && ranges === null ? { assets: [] } : {}),
  });
  if (!read.ok) throw new Error(`the tag ${name} cannot be read: ${read.message}`);
  return read.value.definition;
}

/**
 * The tags as they are stored, which nobody else changes until the transaction ends. Whoever saves something that names tags asks
 * this inside of its transaction: the read model, asked before it, may have seen them as they were before somebody's change.
 */
export async function storedGraph(trx: Transact): Promise<TagGraph> {
  await lockDefinitions(trx);
  const built = tagGraph((await allTags(trx)).map(storedDefinition));
  if (!built.ok) throw new Error(`the stored tags make no sense together: ${built.message}`);
  return built.graph;
}

function definitionRefused(refusal: TagRefusal | TagRuleRefusal): Refusal {
  const { code, message, path, at, length } = refusal;
  const problem: Problem = {
    path,
    message,
    ...(at === undefined ? {} : { at }),
    ...(length === undefined ? {} : { length }),
    ...('expected' in refusal ? { expected: [...refusal.expected] } : {}),
    ...('suggestions' in refusal ? { suggestions: [...refusal.suggestions] } : {}),
  };
  return { ok: false, status: 400, code, message, whatToDo: refusal.what_to_do, problems: [problem] };
}

/** `tag`: the one that is saved, whose request the places are in. */
export function graphRefused(refusal: TagGraphRefusal, tag: string): Refusal {
  const { code, message, what_to_do: whatToDo } = refusal;
  if (code === 'tag_cycle') {
    const problems = refusal.cycles.map((cycle) => ({ path: '', message: cycle.message }));
    return { ok: false, status: 409, code, message, whatToDo, problems };
  }
  if (code === 'tag_unknown' && refusal.tag === tag) {
    const { at, length, suggestions } = refusal;
    const place = at === undefined || length === undefined ? {} : { at, length };
    const path = at === undefined ? '/parent' : '/rule';
    const problem = { path, message, ...place, suggestions: [...suggestions] };
    return { ok: false, status: 400, code, message, whatToDo, problems: [problem] };
  }
  return refuse(409, code, message, whatToDo);
}

/** Everything that names a tag outright. By patterns none is named. */
export function needsOf(name: string, graph: TagGraph, users: TagUsers): TagNeed[] {
  const need = (kind: TagNeed['kind']) => (user: string) => ({ kind, name: user });
  const byRule = [...graph.definitions.values()].filter(
    ({ members }) => members.kind === 'rule' && tagsNamedIn(members.text, 'asset').has(name),
  );
  return [
    ...(graph.children.get(name) ?? []).map(need('nested_tag')),
    ...byRule.map((each) => each.name).map(need('tag_rule')),
    ...users.criticality
      .filter(({ query }) => tagsNamedIn(query, 'asset').has(name))
      .map((each) => each.name)
      .map(need('criticality_rule')),
    ...users.sla
      .filter(({ tags }) => tags.includes(name))
      .map((each) => each.name)
      .map(need('sla_rule')),
    ...users.acceptances
      .filter(({ scope }) => tagsNamedIn(scope, 'finding').has(name))
      .map((each) => each.id)
      .map(need('acceptance')),
    ...users.jobs
      .filter(({ tags }) => tags.includes(name))
      .map((each) => each.name)
      .map(need('patch_job')),
  ];
}

function tagsNamedIn(text: string, subject: Subject): Set<string> {
  const read = parse(text, subject);
  if (!read.ok) return new Set();
  return new Set(
    comparisonsOf(read.query).flatMap(({ node }) =>
      asksTag(node) ? namedOutright(node.condition).map((name) => name.toLowerCase()) : [],
    ),
  );
}

const needWords: Readonly<Record<TagNeed['kind'], (name: string) => string>> = {
  nested_tag: (name) => `the tag ${name} is nested in it`,
  tag_rule: (name) => `the rule of the tag ${name} asks for it`,
  criticality_rule: (name) => `the criticality rule ${name} asks for it`,
  sla_rule: (name) => `the SLA rule ${name} asks for it`,
  acceptance: (name) => `the risk acceptance ${name} asks for it`,
  patch_job: (name) => `the patch job ${name} is for it`,
};

export function neededRefusal(name: string, needs: readonly TagNeed[], what: 'deleted' | 'renamed'): Refusal {
  const sentences = needs.map((need) => needWords[need.kind](need.name));
  const shown = sentences.slice(0, 5).join('; ');
  const more = sentences.length > 5 ? `; and ${String(sentences.length - 5)} more` : '';
  return {
    ok: false,
    status: 409,
    code: 'tag_needed',
    message: `the tag ${name} cannot be ${what}: ${shown}${more}`,
    whatToDo: 'change, delete or archive these first',
    // The message names the first few.
    ...(sentences.length > 5
      ? { problems: sentences.slice(5, 100).map((message) => ({ path: '', message })) }
      : {}),
  };
}

/**
 * Judges the definitions after a change: they must be a graph, and rules that name tags must still make sense, as far as they
 * did before. `tag`: the one that changes.
 */
export function judgeTogether(
  before: readonly TagDefinition[],
  after: readonly TagDefinition[],
  tag: string,
  users: TagUsers,
): Answer<TagGraph> {
  const was = tagGraph(before);
  const built = tagGraph(after);
  if (!built.ok) return graphRefused(built, tag);
  const held = new Set(was.ok ? troubles(was.graph, users).map(({ of }) => of) : []);
  const fresh = troubles(built.graph, users).filter(({ of }) => !held.has(of));
  const [first] = fresh;
  if (first === undefined) return answer(built.graph);
  return {
    ok: false,
    status: 409,
    code: 'tag_depends_on_its_users',
    message: `with this, ${first.of} would depend on itself: ${first.message}`,
    whatToDo: `let the tag ask for facts of assets and packages only, or change ${first.of} first`,
    problems: fresh.map(({ of, message }) => ({ path: '', message: `${of}: ${message}` })),
  };
}

function troubles(graph: TagGraph, users: TagUsers): { readonly of: string; readonly message: string }[] {
  const found: { of: string; message: string }[] = [];
  const note = (of: string, refusal: { readonly message: string } | null): void => {
    if (refusal !== null) found.push({ of, message: refusal.message });
  };
  for (const { name, query } of users.criticality) {
    const read = parse(query, 'asset');
    if (read.ok) note(`the criticality rule ${name}`, ruleRefusal(read.query, graph));
  }
  for (const { name, tags } of users.sla) note(`the SLA rule ${name}`, slaRuleRefusal(tags, graph));
  const tags = { names: graph.order, isLate: (name: string) => isLast(graph, name) };
  for (const { id, scope } of users.acceptances) {
    const read = parse(scope, 'finding');
    if (read.ok) note(`the risk acceptance ${id}`, acceptanceScopeRefusal(read.query, tags));
  }
  return found;
}
