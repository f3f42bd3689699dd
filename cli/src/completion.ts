/** What a line of bash that is being typed asks completion for. */
import type { QueryCompletions } from '@fixpoint/contract/search.ts';
import type { Subject } from '@fixpoint/core/query/fields.ts';

export interface LineEnd {
  /** Words that are finished, without their quotes. */
  readonly words: readonly string[];
  /** What is begun of the last one, without its quote. */
  readonly current: string;
  /** The quote that is still open. */
  readonly quote: '' | '"' | "'";
}

/** Reads a line up to the cursor as bash does, without expansions. */
export function readLine(text: string): LineEnd {
  const words: string[] = [];
  let current = '';
  let begun = false;
  let quote: LineEnd['quote'] = '';
  for (let at = 0; at < text.length; at++) {
    const c = text.charAt(at);
    if (quote !== '') {
      if (c === quote) quote = '';
      else if (c === '\\' && quote === '"' && '"\\$`'.includes(text.charAt(at + 1)))
        current += text.charAt(++at);
      else current += c;
    } else if (c === ' ' || c === '\t') {
      if (begun) words.push(current);
      current = '';
      begun = false;
      continue;
    } else if (c === '"' || c === "'") quote = c;
    else if (c === '\\') current += text.charAt(++at);
    else current += c;
    begun = true;
  }
  return { words, current, quote };
}

const searched: Readonly<Record<string, Subject>> = {
  assets: 'asset',
  findings: 'finding',
  vulnerabilities: 'vulnerability',
  patches: 'patch',
};
const byNoun: Readonly<Record<string, Subject>> = {
  asset: 'asset',
  finding: 'finding',
  patch: 'patch',
  posture: 'asset',
};
/** Options of searches with a value behind them. */
const withValue = new Set(['--columns', '--sort', '--limit', '--server', '--token', '--at']);

/** The query that is being typed: of what, and its words before the current one. Null: it is none. */
export function askedFor(
  words: readonly string[],
): { readonly subject: Subject; readonly before: readonly string[] } | null {
  const [, noun = '', verb = ''] = words;
  if (words.at(-1) === '--query') {
    // The list of patches is asked for patches; what weighs them is asked for the assets to weigh them on.
    const subject = noun === 'patch' && verb !== 'list' ? 'asset' : byNoun[noun];
    return subject === undefined ? null : { subject, before: [] };
  }
  if (withValue.has(words.at(-1) ?? '')) return null;
  const plain = words.filter((word, at) => !word.startsWith('--') && !withValue.has(words[at - 1] ?? ''));
  if (noun === 'search') {
    const subject = searched[verb];
    return subject === undefined ? null : { subject, before: plain.slice(3) };
  }
  if (noun === 'query' && (verb === 'explain' || verb === 'complete')) {
    const named = words[3] ?? '';
    const subject = searched[named] ?? (named === 'vulnerability' ? named : byNoun[named]);
    return subject === undefined ? null : { subject, before: plain.slice(4) };
  }
  return null;
}

/** Where readline begins a word that has no quote: behind the last of COMP_WORDBREAKS. */
const wordBreak = /[\s"'@><=;|&(:]/u;

/**
 * What bash may put in place of its current word, which begins behind the open quote or the last word break. Only what goes
 * on from what is typed, unless there is but one.
 */
export function candidates(
  { current, quote }: LineEnd,
  text: string,
  { from, items }: QueryCompletions,
): string[] {
  const before = text.length - current.length;
  let begins = 0;
  if (quote === '')
    for (let at = 0; at < current.length; at++) if (wordBreak.test(current.charAt(at))) begins = at + 1;
  const typed = text.slice(from).toLowerCase();
  const fitting = items.filter((item) => item.text.toLowerCase().startsWith(typed));
  const offered = fitting.length > 0 || items.length > 1 ? fitting : items;
  return offered.map((item) => {
    const whole = `${text.slice(before, from)}${item.text}`;
    return escaped(whole.slice(begins), quote);
  });
}

function escaped(text: string, quote: LineEnd['quote']): string {
  if (quote === "'") return text.replaceAll("'", "'\\''");
  if (quote === '"') return text.replaceAll(/["\\$`]/gu, (c) => `\\${c}`);
  return text.replaceAll(/[^\p{L}\p{N}_.,/%+:@~=-]/gu, (c) => `\\${c}`);
}
