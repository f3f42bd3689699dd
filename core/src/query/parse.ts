/**
 * The grammar, by recursive descent (why not a generated parser: docs/decisions/013):
 *
 *     query   = [ or ]
 *     or      = and { "or" and }
 *     and     = unary { [ "and" ] unary }
 *     unary   = "not" unary | "(" or ")" | "has" RELATION [ "(" or ")" ] | test | WORD | STRING
 *     test    = FIELD ( "=" | "!=" | "<" | "<=" | ">" | ">=" | ":" ) ( value | range )
 *             | FIELD [ "not" ] "in" ( "(" value { "," value } ")" | value | range )
 *             | FIELD range | FIELD "is" [ "not" ] ( "unknown" | "known" ) | FIELD     (the last for booleans only)
 *     range   = value ".." value
 *
 * Keywords are read in any case. Reads each character a bounded number of times, and refuses what passes `queryLimits`.
 */
import { ConditionReader, describe, meant } from './condition.ts';
import {
  fieldsOf,
  isResolved,
  relationOf,
  relationsOf,
  resolvePath,
  type ResolvedPath,
  type Scope,
  type Subject,
  type UnresolvedPath,
} from './fields.ts';
import { nearest } from './nearest.ts';
import { separateRelated } from './notes.ts';
import { sizeProblem, textOperand } from './operand.ts';
import { Arrived, type Place } from './place.ts';
import { queryLimits, type Condition, type Node, type QueryParse } from './query.ts';
import { Refused, Scanner, type WrittenAt } from './scanner.ts';

/** Reads a query. Never throws for any text. */
export function parse(text: string, subject: Subject): QueryParse {
  try {
    const root = new Parser(text, null).query(subject);
    return { ok: true, query: { subject, root }, notes: root === null ? [] : separateRelated(root) };
  } catch (error) {
    if (error instanceof Refused) return error.refusal;
    throw error;
  }
}

/** What can follow a text that is the beginning of a query; null: nothing, as it is wrong already. */
export function placeAfter(text: string, subject: Subject): Place | null {
  try {
    new Parser(text, text.length).query(subject);
    return null;
  } catch (error) {
    if (error instanceof Arrived) return error.place;
    if (error instanceof Refused) return null;
    throw error;
  }
}

class Parser {
  private readonly scan: Scanner;
  /** Where completion asks; null when parsing. */
  private readonly asked: number | null;
  private terms = 0;
  private readonly conditions: ConditionReader;
  private depth = 0;
  private open = 0;

  constructor(text: string, asked: number | null) {
    this.scan = new Scanner(text);
    this.asked = asked;
    this.conditions = new ConditionReader(this.scan, (place) => this.arrive(place));
  }

  query(subject: Subject): Node | null {
    const { text } = this.scan;
    if (text.length > queryLimits.characters) {
      this.scan.refuse(queryLimits.characters, text.length - queryLimits.characters, {
        code: 'query_too_long',
        message: `a query has at most ${queryLimits.characters} characters, and this one has ${text.length}`,
        what_to_do: 'name the assets by a tag, or use wildcards, instead of listing them',
      });
    }
    this.scan.skipSpace();
    if (this.scan.peek() === '' && this.asked === null) return null;
    const root = this.or(subject);
    if (this.scan.peek() !== '') {
      this.scan.refuse(this.scan.at, 1, {
        code: 'parenthesis_not_opened',
        message: 'this parenthesis closes none',
        what_to_do: 'remove it, or open one before it; in quotes it is an ordinary character',
      });
    }
    return root;
  }

  private arrive(place: Place): void {
    if (this.asked === null) return;
    this.scan.skipSpace();
    if (this.scan.at >= this.asked) throw new Arrived(place);
  }

  private within<T>(at: number, length: number, read: () => T): T {
    if (++this.depth > queryLimits.depth) {
      this.scan.refuse(at, length, {
        code: 'too_deep',
        message: `parentheses, not and has stand at most ${queryLimits.depth} deep inside each other`,
        what_to_do: 'write it flatter, or save a part as a tag',
      });
    }
    const result = read();
    this.depth--;
    return result;
  }

  private or(scope: Scope): Node {
    const parts = [this.and(scope)];
    while (this.scan.takeKeyword('or')) parts.push(this.and(scope));
    return joined('or', parts);
  }

  private and(scope: Scope): Node {
    const parts = [this.unary(scope)];
    for (;;) {
      this.arrive({ at: 'term', scope, after: 'term', open: this.open > 0 });
      const next = this.scan.peek();
      if (next === '' || next === ')' || this.scan.peekKeyword() === 'or') return joined('and', parts);
      this.scan.takeKeyword('and');
      parts.push(this.unary(scope));
    }
  }

  private unary(scope: Scope): Node {
    this.arrive({ at: 'term', scope, after: 'nothing', open: false });
    const next = this.scan.peek();
    const at = this.scan.at;
    if (next === '(') return this.parenthesis(scope);
    if (this.scan.atQuote()) return this.word(scope, this.scan.takeString());
    const keyword = this.scan.peekKeyword();
    if (keyword === 'not') {
      this.scan.takeKeyword('not');
      const part = this.within(at, 3, () => this.unary(scope));
      return { kind: 'not', part, ...this.since(at) };
    }
    if (keyword === 'has') return this.has(scope);
    const word = this.scan.peekWord();
    if (word === '' || keyword !== null) this.termExpected(scope, keyword ?? next);
    return this.test(scope);
  }

  private since(at: number): { at: number; length: number } {
    return { at, length: this.scan.at - at };
  }

  private termExpected(scope: Scope, found: string): never {
    const message =
      found === ''
        ? 'the query ends where a condition is expected'
        : `a condition is expected here, not ${found}`;
    return this.scan.refuse(this.scan.at, Math.max(found.length, 0), {
      code: 'term_expected',
      message,
      what_to_do:
        found === ''
          ? 'write a condition, or remove what stands before'
          : 'to search for it as a word, write it in quotes',
      expected: ['a field', 'a word', 'not', 'has', '('],
      suggestions: fieldsOf(scope)
        .slice(0, 3)
        .map((field) => field.name),
    });
  }

  private parenthesis(scope: Scope): Node {
    const at = this.scan.at;
    this.scan.take('(');
    return this.within(at, 1, () => {
      this.open++;
      const inside = this.or(scope);
      if (!this.scan.take(')')) {
        this.scan.refuse(at, 1, {
          code: 'parenthesis_not_closed',
          message: 'this parenthesis is not closed',
          what_to_do: 'write ) where it ends',
          expected: [')', 'and', 'or'],
        });
      }
      this.open--;
      return { ...inside, ...this.since(at) };
    });
  }

  private countTerm(at: number, length: number): void {
    if (++this.terms <= queryLimits.terms) return;
    this.scan.refuse(at, length, {
      code: 'too_many_terms',
      message: `a query has at most ${queryLimits.terms} conditions`,
      what_to_do: 'use a list, field in (a, b, c), or save a part as a tag',
    });
  }

  private word(scope: Scope, written: WrittenAt): Node {
    this.countTerm(written.at, written.length);
    const problem = sizeProblem(written);
    if (problem !== null) this.scan.refuse(written.at, written.length, problem);
    return { kind: 'word', scope, value: textOperand(written), at: written.at, length: written.length };
  }

  private has(scope: Scope): Node {
    const at = this.scan.at;
    this.scan.takeKeyword('has');
    this.arrive({ at: 'relation', scope });
    const nameAt = (this.scan.skipSpace(), this.scan.at);
    const name = this.scan.takeWord();
    const relation = relationOf(scope, name.toLowerCase());
    if (relation === null) {
      const names = relationsOf(scope).map((each) => each.name);
      const suggestions = nearest(name, names);
      this.scan.refuse(nameAt, name.length, {
        code: 'unknown_relation',
        message: `${describe(scope)} has no ${name === '' ? 'such thing' : name} to ask about${meant(suggestions)}`,
        what_to_do: names.length === 0 ? 'ask for a field' : `write has ${names.join(', has ')}`,
        expected: names,
        suggestions,
      });
    }
    this.countTerm(at, this.scan.at - at);
    const where = this.scan.peek() === '(' ? this.within(at, 3, () => this.parenthesis(relation.to)) : null;
    return { kind: 'has', scope, relation: relation.name, where, ...this.since(at) };
  }

  /** A condition on a field, or a free word. */
  private test(scope: Scope): Node {
    const at = (this.scan.skipSpace(), this.scan.at);
    const word = this.scan.takeWord();
    const path = resolvePath(scope, word);
    if (isResolved(path) && this.asked !== null && this.asked > this.scan.at)
      this.arrive({ at: 'operator', field: path.field });
    const wordEnd = this.scan.at;
    const following = this.conditions.read(path, at, word);
    if (following === null) {
      this.scan.at = wordEnd;
      if (isResolved(path)) {
        if (path.field.type !== 'boolean') return this.conditions.comparisonExpected(path.field, at, word);
        return this.leaf(path, at, { op: '=', value: { kind: 'boolean', value: true } });
      }
      if (leadsOn(path, word)) return this.conditions.unknownField(path, at);
      return this.word(scope, { text: word, quoted: false, at, length: word.length });
    }
    if (!isResolved(path)) return this.conditions.unknownField(path, at);
    return this.leaf(path, at, following);
  }

  /** One comparison along a path of relations. `!=` and `not in` deny the whole path: no related thing is so. */
  private leaf(path: ResolvedPath, at: number, condition: Condition): Node {
    const span = this.since(at);
    this.countTerm(at, span.length);
    const denies = path.relations.length > 0 && (condition.op === '!=' || condition.op === 'not_in');
    const asserted = denies ? affirmed(condition) : condition;
    let node: Node = {
      kind: 'compare',
      scope: path.scope,
      field: path.field.name,
      key: path.key,
      condition: asserted,
      ...span,
    };
    for (const { from, name } of path.relations.toReversed())
      node = { kind: 'has', scope: from, relation: name, where: node, ...span };
    if (!denies) return node;
    return this.within(at, span.length, () => ({ kind: 'not', part: node, ...span }));
  }
}

/** A relation's own name, which stands for no field: `finding`. */
function leadsOn({ scope, part, offset }: UnresolvedPath, word: string): boolean {
  return offset + part.length === word.length && relationOf(scope, part.toLowerCase()) !== null;
}

function affirmed(condition: Condition): Condition {
  if (condition.op === '!=') return { op: '=', value: condition.value };
  return condition.op === 'not_in' ? { op: 'in', values: condition.values } : condition;
}

/** One part is itself; parts of the same kind, which stood in parentheses, become parts of the whole. */
function joined(kind: 'and' | 'or', parts: readonly Node[]): Node {
  const [first] = parts;
  if (first === undefined) throw new Error('nothing to join');
  if (parts.length === 1) return first;
  const last = parts.at(-1) ?? first;
  return {
    kind,
    parts: parts.flatMap((part) => (part.kind === kind ? part.parts : [part])),
    at: first.at,
    length: last.at + last.length - first.at,
  };
}
