/** What Bun runs; see state.ts. Hands over to the slow start whenever it cannot do everything itself. */
import { realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { compare } from '../commands/compare.ts';
import { scan } from '../commands/scan.ts';
import { reportError } from '../report-error.ts';
import { isCurrent, readFastState, stateName } from './state.ts';

class NeedsSlowStart extends Error {}

/** Arguments: the project folder as the launcher knows it, then the caller's own. */
async function main(root: string, argv: readonly string[]): Promise<number> {
  try {
    const state = readFastState(join(dirname(process.argv[1] ?? ''), stateName));
    if (state === null || state.root !== realpathSync(root) || !isCurrent(state)) throw new NeedsSlowStart();
    if (argv[0] === 'compare') return compare(argv.slice(1));
    // What most scans do not need would only make every start slower.
    const slow = (): never => {
      throw new NeedsSlowStart();
    };
    return await scan(argv.slice(1), {
      folder: state.knowledge,
      make: slow,
      readLists: slow,
      sbomSubject: slow,
      sarifLog: slow,
      vexDocument: slow,
    });
  } catch (error) {
    if (!(error instanceof NeedsSlowStart)) return reportError(error, argv);
    return (await import('../run-command.ts')).runSlowStart(root, argv);
  }
}

const [root = '', ...argv] = process.argv.slice(2);
void main(root, argv).then((exitCode) => {
  process.exitCode = exitCode;
  return exitCode;
});
