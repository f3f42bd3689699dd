import { redacted, withoutSecrets } from './redact.ts';

/**
 * Cuts what a command writes into pieces that may leave the host: whole lines only, so that neither a character nor a secret is
 * cut in two. Pure: the same bytes after the same place give the same pieces.
 */

/** Characters of a piece; what the contract allows. */
export const pieceCharacters = 16_000;
const lineCharacters = 4_000;
/** A line that has not ended after so many bytes is shown from its beginning, and the rest of it left out. */
const lineBytes = 64 * 1024;

/** What must be known of the lines before, besides where they end. */
export interface Carry {
  /** The rest of a line is left out. */
  readonly skip: boolean;
  /** Within a private key. */
  readonly key: boolean;
}
export const noCarry: Carry = { skip: false, key: false };

export interface CutPiece {
  readonly text: string;
  /** How many bytes of what was given this and the pieces before it took. */
  readonly end: number;
  readonly carry: Carry;
}

/**
 * @param final nothing more will come, so that a last line without a line feed is whole too
 */
export function cutPieces(
  bytes: Buffer,
  given: Carry,
  final: boolean,
  secrets: readonly string[],
): { readonly pieces: CutPiece[]; readonly taken: number; readonly carry: Carry } {
  const pieces: CutPiece[] = [];
  let carry = given;
  let text = '';
  let start = 0;
  const close = (): void => {
    if (text !== '') pieces.push({ text, end: start, carry });
    text = '';
  };
  while (start < bytes.length) {
    const feed = bytes.indexOf(10, start);
    const isWhole = feed >= 0 || final;
    const end = feed >= 0 ? feed : bytes.length;
    if (!isWhole && !carry.skip && end - start < lineBytes) break;
    const read = readLine(bytes.subarray(start, end), isWhole, carry, secrets);
    if (text.length + read.text.length > pieceCharacters) close();
    text += read.text;
    carry = read.carry;
    start = feed >= 0 ? feed + 1 : end;
  }
  close();
  return { pieces, taken: start, carry };
}

/** One line, as it may be shown; `text` is empty, or ends with a line feed. */
function readLine(
  bytes: Buffer,
  isWhole: boolean,
  carry: Carry,
  secrets: readonly string[],
): { text: string; carry: Carry } {
  if (carry.skip) return { text: '', carry: { ...carry, skip: !isWhole } };
  const decoded = new TextDecoder().decode(bytes.subarray(0, lineBytes));
  // What a program writes over again on one line: the last of it.
  const last = decoded.split('\r').findLast((part) => part !== '') ?? '';
  const cut = bytes.length >= lineBytes;
  // A line without a break in 64 KiB may hold a secret at the cut.
  const whole = cut ? last.slice(0, Math.max(0, last.search(/\s\S*$/u))) : last;
  const begins = /-----BEGIN [A-Z ]*PRIVATE KEY-----/u.test(whole);
  const ends = /-----END [A-Z ]*PRIVATE KEY-----/u.test(whole);
  const isKey = carry.key || begins;
  const shown = isKey ? (begins ? redacted : '') : withoutSecrets(whole, secrets);
  const bounded =
    cut || shown.length > lineCharacters
      ? `${sliceCharacters(shown, lineCharacters)} […the rest of a long line is left out]`
      : shown;
  return {
    text: isKey && bounded === '' ? '' : `${bounded}\n`,
    carry: { skip: !isWhole, key: isKey && !ends },
  };
}

/** Not between the two halves of a character beyond the first plane. */
function sliceCharacters(text: string, count: number): string {
  const cut = text.slice(0, count);
  return /[\uD800-\uDBFF]$/u.test(cut) ? cut.slice(0, -1) : cut;
}
