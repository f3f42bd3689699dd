/**
 * Builds of Windows and of Microsoft's products as MSRC's documents name them (`fixed_build`): two to four numbers with
 * dots between, `10.0.17763.1339`, `16.0.5408.1000`, `16.11.12`. Numbers count, not digits: `4.8.04515.01` is
 * `4.8.4515.1`. Builds have an order only within a branch; between branches the answer is `incomparable`, since a fix has
 * another build on each branch (`10.0.19041.388` is no newer *patch level* than `10.0.17763.1339`).
 *
 * The branch of a build, the first rule that fits:
 *
 * 1. Windows itself, that is 10.0 or 6.0–6.4 with nothing or with a third number from 5000 on: the first three numbers;
 *    the fourth (the revision, UBR) is what is compared. So `10.0.17763.*` is one branch and `6.3.9600.*` is one. Without a
 *    revision (`10.0.17763`) the patch level is unknown: such a build compares only with its like.
 * 2. The servicing lines of the table below, whose third number rises from patch to patch: the line is the branch.
 * 3. Any other: all numbers but the last. So Exchange `15.2.792.*` (one cumulative update), SQL Server
 *    `15.0.2090.*`, Visual Studio `16.11.*`, .NET `6.0.*` and PowerShell `7.2.*` (three numbers) are branches.
 *
 * Builds with a different count of numbers are never of one branch. The third rule is careful on purpose: where a product
 * moves its third number and is not in the table (Edge, SharePoint Subscription Edition, SQL Server within one
 * servicing branch), the answer is `incomparable`, which a match turns into `undetermined`, never into `fixed`.
 *
 * Not a build, and so `unparseable`: anything but decimal digits and dots (no blanks, signs, letters, wildcards), fewer
 * than two numbers or more than four, an empty number, a number above 4294967295.
 */

/** A build that has been checked. Made only by {@link parseWindowsBuild}. */
export interface WindowsBuild {
  readonly text: string;
  /** Names the branch, as a pattern of its builds: `10.0.17763.*`. Builds compare when this is the same. */
  readonly branch: string;
  /** Two to four. */
  readonly numbers: readonly number[];
}

export type WindowsBuildRefusalCode =
  | 'build_empty'
  | 'build_invalid_character'
  | 'build_number_empty'
  | 'build_number_too_big'
  | 'build_number_count';

export interface WindowsBuildRefusal {
  readonly ok: false;
  readonly code: WindowsBuildRefusalCode;
  readonly message: string;
}

export type WindowsBuildParse = { readonly ok: true; readonly version: WindowsBuild } | WindowsBuildRefusal;

const numberMaximum = 4_294_967_295;

interface ServicingLine {
  readonly branch: string;
  readonly major: number;
  readonly minor: number;
  /** First and last, both in. */
  readonly third: readonly [number, number];
  readonly fourth: readonly [number, number];
}

/**
 * Lines of four numbers whose third rises from patch to patch, as in MSRC's documents 2016–2025. Their ranges keep apart what
 * shares the first two numbers: SQL Server 2019 and 2022 (15.0, 16.0 with a small fourth number), SharePoint 2019.
 */
const servicingLines: readonly ServicingLine[] = [
  // .NET Framework; 4.8.1 counts from 4.8.9000 on.
  { branch: '4.7.3000–8999.*', major: 4, minor: 7, third: [3000, 8999], fourth: [0, 999] },
  { branch: '4.8.3000–8999.*', major: 4, minor: 8, third: [3000, 8999], fourth: [0, 999] },
  { branch: '4.8.9000–9999.*', major: 4, minor: 8, third: [9000, 9999], fourth: [0, 999] },
  // Office and SharePoint 2013, then 2016 (installed by MSI).
  { branch: '15.0.4000–5999.1*', major: 15, minor: 0, third: [4000, 5999], fourth: [1000, 1999] },
  { branch: '16.0.4000–5999.1*', major: 16, minor: 0, third: [4000, 5999], fourth: [1000, 1999] },
  // SharePoint 2019 and Office Online Server.
  { branch: '16.0.10000–10999.2*', major: 16, minor: 0, third: [10_000, 10_999], fourth: [20_000, 29_999] },
];

/** Parses and checks a build. Nothing around it is dropped. */
export function parseWindowsBuild(text: string): WindowsBuildParse {
  if (text === '') return refusal('build_empty', 'the build is empty');
  const numbers: number[] = [];
  let number = 0;
  let digits = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = i < text.length ? text.charCodeAt(i) : 46;
    if (c === 46) {
      if (digits === 0) return refusal('build_number_empty', 'the build has an empty number');
      numbers.push(number);
      number = 0;
      digits = 0;
    } else if (c >= 48 && c <= 57) {
      number = number * 10 + (c - 48);
      if (number > numberMaximum) {
        return refusal('build_number_too_big', `a number of the build is above ${String(numberMaximum)}`);
      }
      digits++;
    } else {
      return refusal('build_invalid_character', 'the build holds a character that is no digit or dot');
    }
  }
  if (numbers.length < 2 || numbers.length > 4) {
    return refusal('build_number_count', `a build has two to four numbers, not ${String(numbers.length)}`);
  }
  return { ok: true, version: { text, branch: branchOf(numbers), numbers } };
}

function refusal(code: WindowsBuildRefusalCode, message: string): WindowsBuildRefusal {
  return { ok: false, code, message };
}

function branchOf(numbers: readonly number[]): string {
  const [major, minor, third, fourth] = numbers;
  if (major === undefined || minor === undefined) throw new Error('a build has two numbers at least');
  const isWindows =
    ((major === 10 && minor === 0) || (major === 6 && minor <= 4)) && (third === undefined || third >= 5000);
  if (isWindows && fourth === undefined) return numbers.join('.');
  if (third !== undefined && fourth !== undefined) {
    const line = servicingLines.find(
      (candidate) =>
        candidate.major === major &&
        candidate.minor === minor &&
        isWithin(third, candidate.third) &&
        isWithin(fourth, candidate.fourth),
    );
    if (line !== undefined) return line.branch;
  }
  return `${numbers.slice(0, -1).join('.')}.*`;
}

function isWithin(number: number, [first, last]: readonly [number, number]): boolean {
  return number >= first && number <= last;
}

/** Below 0 when `a` is older than `b`, above 0 when newer, 0 when they are the same build. Allocates nothing. */
export function compareWindowsBuild(a: WindowsBuild, b: WindowsBuild): number | 'incomparable' {
  if (a.branch !== b.branch) return 'incomparable';
  // Builds of one branch have the same count of numbers.
  for (let i = 0; i < a.numbers.length; i++) {
    const difference = (a.numbers[i] ?? 0) - (b.numbers[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
