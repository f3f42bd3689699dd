import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createExecutor } from './src/execute/choose.ts';
import type { DistributionPoint, ExecutorStep, OrderedChanges } from './src/execute/executor.ts';
import { rpmFilesBelow } from './src/execute/rpm-packages.ts';
import type { Manager } from './src/package-tools.ts';
import { runCommand } from './src/run-command.ts';

/**
 * Runs steps of an executor on this host, as root, and prints what came of each as a line of JSON: how the lab tries
 * executors on real package managers without a server. `node agent/drive-executor.ts FILE`; not part of the agent.
 */
interface Drive {
  readonly manager: Manager;
  readonly dir: string;
  readonly distributionPoint: DistributionPoint;
  /** `kept`: what `keep` fetched is put where `roll_back` looks for it. */
  readonly steps: readonly {
    readonly step: ExecutorStep | 'kept' | 'state';
    readonly changes: OrderedChanges;
  }[];
}

const [, , file] = process.argv;
if (file === undefined) throw new Error('which steps? give a file');
// Its only reader is the lab, which writes it.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
const drive = JSON.parse(readFileSync(file, 'utf8')) as Drive;
const kept = join(drive.dir, 'kept');
mkdirSync(kept, { recursive: true });
const executor = createExecutor(drive.manager, {
  taskDir: drive.dir,
  downloadsDir: join(drive.dir, 'downloads'),
  keptPackagesDir: kept,
});
executor.prepare(drive.distributionPoint, null);

for (const { step, changes } of drive.steps) {
  const said: Record<string, unknown> = { step };
  if (step === 'kept') {
    const { keeping } = executor;
    if (keeping === undefined) throw new Error('it keeps nothing');
    const files: string[] = [];
    for (const path of rpmFilesBelow(keeping.fetchedDir)) {
      const p = await keeping.identify(path);
      // As the step of a task finds it: under the name that it is kept by.
      if (
        p === null ||
        !path.endsWith(`/${keeping.fileName(p)}`) ||
        !(await keeping.isBuildInstalled(p, path))
      )
        continue;
      copyFileSync(path, join(kept, keeping.fileName(p)));
      files.push(keeping.fileName(p));
    }
    said['files'] = [...new Set(files)].toSorted();
    said['try'] = await keeping.tryRollBack(changes);
    said['offered'] = [
      ...(await keeping.offered(changes.packages.map((p) => ({ ...p, version: p.from })))).keys(),
    ];
    said['configuration'] = await keeping.configurationFiles(changes.packages);
  } else if (step !== 'state') {
    const { argv, env } = executor.command(step, changes);
    const result = await runCommand(argv, { timeoutSeconds: 120, env });
    const output = `${result.stdout}\n${result.stderr}`;
    const exitCode = result.ok ? 0 : (result.exitCode ?? 255);
    said['exit'] = exitCode;
    said['judged'] = executor.judge(step, exitCode, output, changes);
    said['output'] = output.slice(-3_000);
    if (step === 'simulate' && exitCode === 0) {
      const simulated = executor.simulated(output);
      said['simulated'] = simulated;
      said['sizes'] = await executor.sizes?.(simulated);
    }
  }
  const state = await executor.state();
  said['versions'] = Object.fromEntries(state.versions);
  said['unfinished'] = [...state.unfinished];
  said['downloaded_bytes'] = executor.downloadedBytes();
  said['shipped'] = (await executor.shippedFiles(changes.packages)).map((s) => [s.name, s.sums.size]);
  process.stdout.write(`${JSON.stringify(said)}\n`);
}
