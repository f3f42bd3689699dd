import { feedLimits, notThisFormat, tooLarge, truncated } from '../input.ts';

/** A piece of a large JSON object: a member as its own text (`"key": value`), or one element of the list that is streamed. */
export type JsonPiece =
  | { readonly kind: 'member'; readonly text: string }
  | { readonly kind: 'element'; readonly index: number; readonly text: string };

/**
 * The elements of the list that one member of a JSON object holds, one by one, so that a file of 300 MB is never in memory
 * at once; the other members before and after it come as they are. Looks only at quotes and brackets; the text of a piece
 * is for JSON.parse to judge. Throws {@link FeedFormatError} when the text is not an object or ends too early.
 */
export async function* jsonElements(
  name: string,
  pieces: AsyncIterable<string>,
  member: string,
): AsyncGenerator<JsonPiece> {
  const startOfList = new RegExp(`^\\s*"${member}"\\s*:\\s*$`, 'u');
  let held = '';
  let depth = 0;
  let inString = false;
  let escaped = false;
  let ended = false;
  let inList = false;
  let index = 0;
  for await (const piece of pieces) {
    const text = held + piece;
    // Of the piece that is not complete yet; positions before `held.length` have been looked at already.
    let start = 0;
    for (let i = held.length; i < text.length; i++) {
      const c = text.charCodeAt(i);
      if (inString) {
        if (escaped) escaped = false;
        else if (c === 92) escaped = true;
        else if (c === 34) inString = false;
        continue;
      }
      switch (c) {
        case 34: // "
          if (depth === 0) throw outside(name, text.slice(i, i + 20));
          inString = true;
          break;
        case 123: // {
        case 91: // [
          if (depth === 0 && (c === 91 || ended))
            throw notThisFormat(name, 'one JSON object', 'it is a list, or goes on after its end');
          if (depth === 1 && c === 91 && startOfList.test(text.slice(start, i))) {
            inList = true;
            start = i + 1;
          }
          depth++;
          if (depth === 1) start = i + 1;
          break;
        case 125: // }
        case 93: {
          // ]
          const innermost = (inList && depth === 2) || depth === 1;
          if (innermost) {
            const rest = text.slice(start, i);
            if (rest.trim() !== '')
              yield inList ? { kind: 'element', index: index++, text: rest } : { kind: 'member', text: rest };
            start = i + 1;
            if (inList) inList = false;
            else ended = true;
          }
          depth--;
          break;
        }
        case 44: // ,
          if (inList ? depth === 2 : depth === 1) {
            const rest = text.slice(start, i);
            if (inList) yield { kind: 'element', index: index++, text: rest };
            else if (rest.trim() !== '') yield { kind: 'member', text: rest };
            start = i + 1;
          }
          break;
        default:
          if (depth === 0 && c !== 32 && (c < 9 || c > 13) && c !== 0xfe_ff)
            throw outside(name, text.slice(i, i + 20));
      }
    }
    held = text.slice(start);
    if (held.length > feedLimits.documentBytes)
      throw tooLarge(name, 'the length of one element', feedLimits.documentBytes);
  }
  if (!ended)
    throw truncated(name, depth === 0 ? 'there is no JSON object' : 'the JSON object is not closed');
}

function outside(name: string, text: string): Error {
  return notThisFormat(name, 'one JSON object', `it has ${JSON.stringify(text)} outside of it`);
}
