/** Reads words, quoted strings and operators from the text of a query; where something does not fit, throws a `Refused`. */
import type { WrittenValue } from './operand.ts';
import type { Comparison, QueryRefusal, QueryRefusalCode } from './query.ts';

/** Thrown inside the parser only; `parse` returns what it carries. */
export class Refused extends Error {
  readonly refusal: QueryRefusal;
  constructor(refusal: QueryRefusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

export const keywords = ['and', 'or', 'not', 'in', 'is', 'has'] as const;
export type Keyword = (typeof keywords)[number];

export function isKeyword(word: string): word is Keyword {
  return keywords.some((keyword) => keyword === word);
}

const operators: readonly Comparison[] = ['!=', '<=', '>=', '=', '<', '>', ':'];
const space = /\s/;
const valueEnds = new Set(['(', ')', ',', '"', '=', '<', '>', '!']);

export interface WrittenAt extends WrittenValue {
  readonly at: number;
  /** With its quotes. */
  readonly length: number;
}

export interface Problem {
  readonly code: QueryRefusalCode;
  readonly message: string;
  readonly what_to_do: string;
  readonly expected?: readonly string[];
  readonly suggestions?: readonly string[];
}

export class Scanner {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  refuse(at: number, length: number, problem: Problem): never {
    throw new Refused({ ok: false, expected: [], suggestions: [], ...problem, at, length });
  }

  skipSpace(): void {
    while (this.at < this.text.length && space.test(this.text.charAt(this.at))) this.at++;
  }

  /** The next character after spaces, which are skipped; empty at the end. */
  peek(): string {
    this.skipSpace();
    return this.text.charAt(this.at);
  }

  take(character: string): boolean {
    if (this.peek() !== character) return false;
    this.at++;
    return true;
  }

  /** Where a word that begins here ends. A value may hold colons, a field or a free word not. */
  private wordEnd(colons: boolean): number {
    let end = this.at;
    for (; end < this.text.length; end++) {
      const character = this.text.charAt(end);
      if (space.test(character) || valueEnds.has(character) || (character === ':' && !colons)) break;
    }
    return end;
  }

  /** The next word without moving, empty where there is none. */
  peekWord(colons = false): string {
    this.skipSpace();
    return this.text.slice(this.at, this.wordEnd(colons));
  }

  takeWord(colons = false): string {
    const word = this.peekWord(colons);
    this.at += word.length;
    return word;
  }

  peekKeyword(): Keyword | null {
    const word = this.peekWord().toLowerCase();
    return isKeyword(word) ? word : null;
  }

  takeKeyword(keyword: Keyword): boolean {
    if (this.peekKeyword() !== keyword) return false;
    this.at += keyword.length;
    return true;
  }

  /** `not in`, and nothing else that begins with `not`. */
  takeNotIn(): boolean {
    const before = this.at;
    if (this.takeKeyword('not') && this.takeKeyword('in')) return true;
    this.at = before;
    return false;
  }

  takeOperator(): Comparison | null {
    this.skipSpace();
    const found = operators.find((operator) => this.text.startsWith(operator, this.at)) ?? null;
    if (found !== null) this.at += found.length;
    return found;
  }

  atQuote(): boolean {
    const character = this.peek();
    return character === '"' || character === "'";
  }

  /** A string in double or single quotes, in which `\"`, `\'`, `\\`, `\n` and `\t` are escapes. */
  takeString(): WrittenAt {
    const at = this.at;
    const quote = this.text.charAt(this.at++);
    let text = '';
    for (; this.at < this.text.length; this.at++) {
      const character = this.text.charAt(this.at);
      if (character === quote) {
        this.at++;
        return { text, quoted: true, at, length: this.at - at };
      }
      text += character === '\\' ? this.takeEscape() : character;
    }
    return this.refuse(at, 1, {
      code: 'string_not_closed',
      message: `the text that begins here with ${quote} does not end`,
      what_to_do: `write ${quote} at its end`,
      expected: [quote],
    });
  }

  /** At the backslash; leaves the scanner at the last character of the escape. */
  private takeEscape(): string {
    const character = this.text.charAt(this.at + 1);
    if (character === '') return '';
    const meant = { '"': '"', "'": "'", '\\': '\\', n: '\n', t: '\t' }[character];
    if (meant === undefined) {
      this.refuse(this.at, 2, {
        code: 'bad_escape',
        message: `\\${character} means nothing here`,
        what_to_do: 'write \\\\ for a backslash',
        expected: ['\\"', "\\'", '\\\\', '\\n', '\\t'],
      });
    }
    this.at++;
    return meant;
  }
}
