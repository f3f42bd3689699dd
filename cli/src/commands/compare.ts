import { readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import {
  compareVersions,
  isVersionScheme,
  schemeTitle,
  versionSchemes,
} from '@fixpoint/core/version/version.ts';
import { exitCodes, type ExitCode } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { codeOf, note, pause, print, writeAll } from '../output/stream.ts';

export const compareHelp = `Usage: fixpoint compare <scheme> <a> <b>
       fixpoint compare --stdin

Tells how version a stands to version b in the order of a package manager:
less (a is older), equal, greater, incomparable or unparseable.

Arguments:
  scheme      what a and b are:
${versionSchemes.map((scheme) => `              ${scheme.padEnd(14)}${schemeTitle(scheme)}`).join('\n')}

Options:
  --stdin     read lines of scheme<TAB>a<TAB>b and answer each with one line, in order
  -h, --help  show this

Exit codes: 0 answered, 2 wrong usage or an unknown scheme.
`;

/** `fixpoint compare …`, without commander so that it starts fast. */
export function compare(argv: readonly string[]): ExitCode {
  // A version may start with a hyphen (and is then unparseable), so what is not an option of ours is an argument.
  const known = new Set(['--stdin', '--help', '-h', '--']);
  const options = new Set(argv.filter((argument) => known.has(argument)));
  const positionals = argv.filter((argument) => !known.has(argument));
  if (options.has('--help') || options.has('-h')) {
    print(compareHelp);
    return exitCodes.ok;
  }
  if (options.has('--stdin')) {
    if (positionals.length > 0) {
      throw usage('compare --stdin takes no arguments', 'Give the versions as lines of scheme<TAB>a<TAB>b.');
    }
    return compareLines();
  }
  const [scheme, a, b, ...more] = positionals;
  if (scheme === undefined || a === undefined || b === undefined || more.length > 0) {
    throw usage(
      `compare takes three arguments, not ${String(positionals.length)}`,
      'Write: fixpoint compare <scheme> <a> <b>, for example fixpoint compare dpkg 1.0~rc1 1.0',
    );
  }
  if (!isVersionScheme(scheme)) throw unknownScheme(scheme);
  print(compareVersions(scheme, a, b));
  return exitCodes.ok;
}

function usage(message: string, whatToDo: string): Failure {
  return new Failure(exitCodes.usage, 'usage', message, whatToDo);
}

const schemesKnown = `Known schemes: ${versionSchemes.join(', ')}.`;

function unknownScheme(scheme: string): Failure {
  return new Failure(
    exitCodes.usage,
    'scheme_unknown',
    `there is no version scheme ${JSON.stringify(scheme)}`,
    schemesKnown,
  );
}

/** Notes about single lines, at most so many: a wrong file of a million lines is told once, not a million times. */
const notesShown = 20;

/**
 * Answers lines as they come. Reads and writes synchronously in large pieces: a pipe is read as fast as it is filled, and
 * a caller that waits for each answer gets it as soon as its line is in.
 */
function compareLines(): ExitCode {
  const decoder = new StringDecoder('utf8');
  const buffer = Buffer.allocUnsafe(1 << 20);
  let rest = '';
  let line = 0;
  let notes = 0;
  let unknown = 0;
  const remark = (text: string): void => {
    notes++;
    if (notes <= notesShown) note(`note: line ${String(line)}: ${text}`);
  };
  const answer = (text: string): string => {
    line++;
    const content = text.endsWith('\r') ? text.slice(0, -1) : text;
    const first = content.indexOf('\t');
    const second = first < 0 ? -1 : content.indexOf('\t', first + 1);
    if (second < 0 || content.includes('\t', second + 1)) {
      remark('not of the form scheme<TAB>a<TAB>b; answered unparseable');
      return 'unparseable\n';
    }
    const scheme = content.slice(0, first);
    if (!isVersionScheme(scheme)) {
      unknown++;
      remark(`there is no version scheme ${JSON.stringify(scheme)}; answered unparseable. ${schemesKnown}`);
      return 'unparseable\n';
    }
    return `${compareVersions(scheme, content.slice(first + 1, second), content.slice(second + 1))}\n`;
  };
  for (;;) {
    const read = readSome(buffer);
    const text = rest + (read === 0 ? decoder.end() : decoder.write(buffer.subarray(0, read)));
    let answers = '';
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      answers += answer(text.slice(start, end));
      start = end + 1;
    }
    rest = text.slice(start);
    if (read === 0 && rest !== '') answers += answer(rest);
    if (answers !== '' && !writeAll(1, answers)) return exitCodes.ok;
    if (read === 0) break;
  }
  if (notes > notesShown) note(`note: and ${String(notes - notesShown)} more lines of that kind`);
  if (unknown > 0) {
    throw new Failure(
      exitCodes.usage,
      'scheme_unknown',
      `${String(unknown)} of ${String(line)} lines name a version scheme that is not known`,
      schemesKnown,
    );
  }
  return exitCodes.ok;
}

function readSome(buffer: Uint8Array): number {
  for (;;) {
    try {
      return readSync(0, buffer);
    } catch (error) {
      if (codeOf(error) === 'EOF') return 0;
      if (codeOf(error) !== 'EAGAIN') throw error;
      pause(5);
    }
  }
}
