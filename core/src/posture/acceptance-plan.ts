/**
 * The scope of a risk acceptance taken apart: what it asks of a vulnerability in a package, and what it then still asks of the
 * asset.
 */
import { compile, type Evaluation } from '../query/evaluate.ts';
import { combine, type Plan } from '../query/plan.ts';

/** A question about a pair: its part of the scope is true where the answer is `holds`. */
export interface PairQuestion {
  readonly ask: Evaluation;
  readonly holds: boolean;
}

type Leaf = Extract<Plan, { kind: 'leaf' }>;

/** Questions about the pair, in the order in which `remaining` comes to them. */
export function questionsOf(root: Plan, now: number): PairQuestion[] {
  const questions: PairQuestion[] = [];
  const visit = (part: Plan, wrap: (ask: Evaluation) => Evaluation): void => {
    if (part.kind === 'leaf') questions.push({ ask: wrap(asking(part, now)), holds: part.holds });
    else if (part.kind === 'and' || part.kind === 'or') for (const each of part.parts) visit(each, wrap);
    else if ((part.kind === 'some' || part.kind === 'every') && part.relation !== 'asset') {
      const { relation } = part;
      visit(part.where, (ask) => (record) => ask(record.related(relation)?.[0] ?? record));
    }
  };
  visit(root, (ask) => ask);
  return questions;
}

function asking({ predicate: { scope, field, key, condition } }: Leaf, now: number): Evaluation {
  const node = { kind: 'compare', scope, field, key, condition, at: 0, length: 0 } as const;
  return compile({ subject: 'finding', root: node }, now);
}

/** A scope with its questions about the pair answered: a plan over assets. A finding has one asset, so `some` and `every` are one. */
export function remaining(root: Plan, answers: string): Plan {
  let at = 0;
  const visit = (part: Plan): Plan => {
    switch (part.kind) {
      case 'all':
      case 'none':
        return part;
      case 'leaf':
        return answers.charAt(at++) === '1' ? { kind: 'all' } : { kind: 'none' };
      case 'some':
      case 'every':
        return part.relation === 'asset' ? part.where : visit(part.where);
      case 'and':
      case 'or': {
        const [neutral, decisive] =
          part.kind === 'and' ? (['all', 'none'] as const) : (['none', 'all'] as const);
        // Each is visited, whatever the others come to: every answer belongs to one question.
        const parts = part.parts.map(visit);
        if (parts.some(({ kind }) => kind === decisive)) return { kind: decisive };
        const left = parts.filter(({ kind }) => kind !== neutral);
        return left.length === 0 ? { kind: neutral } : combine(part.kind, left);
      }
      default:
        return part satisfies never;
    }
  };
  return visit(root);
}

/** The values, in lower case, that a field must have one of for the plan to be true; null: it does not say. */
export function namesIn(root: Plan, relation: string, field: string): ReadonlySet<string> | null {
  switch (root.kind) {
    case 'leaf': {
      const { predicate, holds } = root;
      const { condition } = predicate;
      if (!holds || predicate.scope !== relation || predicate.field !== field) return null;
      const values = condition.op === 'in' ? condition.values : condition.op === '=' ? [condition.value] : [];
      const names = values.flatMap((value) => (value.kind === 'text' ? [value.value.toLowerCase()] : []));
      return values.length > 0 && names.length === values.length ? new Set(names) : null;
    }
    case 'some':
    case 'every':
      return root.relation === relation ? namesIn(root.where, relation, field) : null;
    case 'and': {
      let fewest: ReadonlySet<string> | null = null;
      for (const part of root.parts) {
        const names = namesIn(part, relation, field);
        if (names !== null && (fewest === null || names.size < fewest.size)) fewest = names;
      }
      return fewest;
    }
    case 'or': {
      const all = new Set<string>();
      for (const part of root.parts) {
        const names = namesIn(part, relation, field);
        if (names === null) return null;
        for (const name of names) all.add(name);
      }
      return all;
    }
    case 'all':
      return null;
    case 'none':
      return new Set();
    default:
      return root satisfies never;
  }
}
