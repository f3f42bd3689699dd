import { notThisFormat, tooLarge, truncated, feedLimits } from './input.ts';

/**
 * The members of one large JSON object, each as its own text (`"key": value`), so that a 70 MB file is never in memory
 * at once. Looks only at quotes and brackets; the text of a member is for JSON.parse to judge.
 */
export async function* jsonMembers(name: string, pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let held = '';
  let depth = 0;
  let inString = false;
  let escaped = false;
  let ended = false;
  for await (const piece of pieces) {
    const text = held + piece;
    // Of the member that is not complete yet; positions before `held.length` have been looked at already.
    let start = 0;
    for (let i = held.length; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (inString) {
        if (escaped) escaped = false;
        else if (c === 92) escaped = true;
        else if (c === 34) inString = false;
      } else if (c === 34 && depth > 0) inString = true;
      else if (c === 123 || c === 91) {
        if (depth === 0 && (c === 91 || ended))
          throw notThisFormat(name, 'one JSON object', 'it is a list, or goes on after its end');
        depth++;
        if (depth === 1) start = i + 1;
      } else if (c === 125 || c === 93) {
        depth--;
        if (depth === 0) {
          const last = text.slice(start, i);
          if (last.trim() !== '') yield last;
          ended = true;
          start = i + 1;
        }
      } else if (c === 44 && depth === 1) {
        yield text.slice(start, i);
        start = i + 1;
      } else if (depth === 0 && c !== 32 && (c < 9 || c > 13) && c !== 0xfe_ff) {
        throw notThisFormat(
          name,
          'one JSON object',
          `it has ${JSON.stringify(text.slice(i, i + 20))} outside of it`,
        );
      }
    }
    held = text.slice(start);
    if (held.length > feedLimits.documentBytes)
      throw tooLarge(name, 'one member’s length', feedLimits.documentBytes);
  }
  if (!ended)
    throw truncated(name, depth === 0 ? 'there is no JSON object' : 'the JSON object is not closed');
}
