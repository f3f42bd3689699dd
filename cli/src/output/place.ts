import { harmless } from './terminal.ts';

/** A place in a text that somebody typed. */
export interface TextPlace {
  readonly at: number;
  readonly length: number;
}

/** Characters of a long text that are shown before and behind the place. */
const around = 60;

/**
 * The text with a caret under every character of the place, indented by two; a long one is cut around it. Line breaks are
 * shown as spaces, so that the carets stand where they should.
 *
 *     os = debian and hostnme = x
 *                     ^^^^^^^
 */
export function pointAt(text: string, { at, length }: TextPlace): string {
  const from = at > around ? at - around : 0;
  const to = Math.min(text.length, at + length + around);
  const before = `${from > 0 ? '…' : ''}${shown(text.slice(from, at))}`;
  const marked = shown(text.slice(at, at + length));
  const rest = `${shown(text.slice(at + length, to))}${to < text.length ? '…' : ''}`;
  const carets = '^'.repeat(Math.max(1, marked.length));
  return `  ${before}${marked}${rest}\n  ${' '.repeat(before.length)}${carets}\n`;
}

const shown = (text: string): string => harmless(text.replaceAll(/[\t\r\n]/gu, ' '));
