/**
 * Reads TypeScript well enough for tidy.test.ts: tells code from comments and strings, and finds what is imported. Not a
 * parser: it needs no type and no tree, and reads the whole project in a fraction of a second.
 */

export interface SourceString {
  readonly line: number;
  /** Its content between the quotes, or one piece of a template between its `${…}`. */
  readonly text: string;
}

export interface Source {
  /** The text with comments and the contents of strings made blank; positions and lines as in the original. */
  readonly code: string;
  readonly strings: readonly SourceString[];
  readonly imports: readonly Import[];
}

export interface Import {
  readonly line: number;
  readonly specifier: string;
  /** `import type …`: gone before anything runs. */
  readonly typeOnly: boolean;
}

/** After one of these a slash begins a regular expression; after a name or a closing bracket it divides. */
const REGEX_MAY_FOLLOW =
  /(?:^|[([{,;:=!&|?+\-*%<>~^]|\b(?:return|typeof|case|in|of|do|else|await|yield))\s*$/;
const IMPORT =
  /\b(?:import|export)\b(?:[\w\s{},*$]*\bfrom)?\s*(['"])|\bimport\s*\(\s*(['"])|\bimport\.meta\.resolve\(\s*(['"])/g;

export function readSource(text: string): Source {
  const blank: string[] = [];
  const stringAt = new Map<number, SourceString>();
  /** For each open template: how many braces are open inside its current `${`. */
  const templates: number[] = [];
  let at = 0;
  let line = 1;

  const keep = (count: number): void => {
    blank.push(text.slice(at, at + count));
    at += count;
  };
  const blankUntil = (end: number): void => {
    const piece = text.slice(at, end);
    blank.push(piece.replaceAll(/[^\n]/g, ' '));
    line += piece.split('\n').length - 1;
    at = end;
  };
  /** From just behind a quote or a `}` to just before what ends the piece. */
  const template = (): void => {
    let end = at;
    while (end < text.length && text[end] !== '`' && !text.startsWith('${', end))
      end += text[end] === '\\' ? 2 : 1;
    stringAt.set(at, { line, text: text.slice(at, end) });
    blankUntil(end);
    if (text.startsWith('${', at)) {
      keep(2);
      templates.push(0);
    } else keep(1);
  };

  while (at < text.length) {
    const char = text[at] ?? '';
    if (char === '\n') {
      line++;
      keep(1);
    } else if (text.startsWith('//', at)) {
      const end = text.indexOf('\n', at);
      blankUntil(end === -1 ? text.length : end);
    } else if (text.startsWith('/*', at)) {
      const end = text.indexOf('*/', at + 2);
      blankUntil(end === -1 ? text.length : end + 2);
    } else if (char === '`') {
      keep(1);
      template();
    } else if (char === '{' && templates.length > 0) {
      templates.push((templates.pop() ?? 0) + 1);
      keep(1);
    } else if (char === '}' && templates.length > 0) {
      const open = templates.pop() ?? 0;
      keep(1);
      if (open > 0) templates.push(open - 1);
      else template();
    } else if (char === "'" || char === '"') {
      const closed = closing(text, at, char);
      keep(1);
      // An apostrophe in the text of a page (.tsx) closes nowhere; it is no string.
      if (closed === -1) continue;
      stringAt.set(at, { line, text: text.slice(at, closed) });
      blankUntil(closed);
      keep(1);
    } else if (char === '/' && REGEX_MAY_FOLLOW.test(blank.slice(-40).join('').slice(-40))) {
      const regex = /^\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\//.exec(text.slice(at, at + 4000))?.[0];
      if (regex === undefined) keep(1);
      else blankUntil(at + regex.length);
    } else keep(/^[\w$ ]+/.exec(text.slice(at, at + 200))?.[0].length ?? 1);
  }

  const code = blank.join('');
  const imports: Import[] = [];
  for (const match of code.matchAll(IMPORT)) {
    const string = stringAt.get(match.index + match[0].length);
    if (string !== undefined) {
      const typeOnly = /^(?:import|export)\s+type\s/.test(match[0]);
      imports.push({ line: string.line, specifier: string.text, typeOnly });
    }
  }
  return { code, strings: [...stringAt.values()], imports };
}

/** Position of the quote that closes the string opened at `open`; -1 when its line ends first. */
function closing(text: string, open: number, quote: string): number {
  for (let i = open + 1; i < text.length; i++) {
    const char = text[i];
    if (char === '\\') i++;
    else if (char === quote) return i;
    else if (char === '\n') return -1;
  }
  return -1;
}

/** Line number, from 1, of a position in a text. */
export function lineAt(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}
