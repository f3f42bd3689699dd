import type { Command } from 'commander';
import { join } from 'node:path';
import { dataFolder } from '../data-folder.ts';
import { startPointHere, type PointOptions } from '../distribution-point/run.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { print } from '../output/stream.ts';
import { version } from '../version.ts';

type Given = Omit<PointOptions, 'data' | 'token' | 'version'> & {
  readonly data?: string;
  readonly token?: string;
};

export function register(noun: Command): void {
  noun
    .command('run')
    .description('keep packages near the hosts; needs no database. Runs until it is told to end')
    .requiredOption('--server <url>', 'the server; its own distribution point is where files come from')
    .option(
      '--token <secret>',
      'as `fixpoint distribution add` showed it; better in FIXPOINT_TOKEN, which `ps` does not show',
    )
    .option('--listen <host:port>', 'where hosts reach it', '0.0.0.0:8421')
    .option('--data <folder>', 'where files are kept (default: distribution-point in the data folder)')
    .option('--limit <size>', 'as much is kept on disk', '20G')
    .option('--bandwidth <size>', 'from the server, per second, in all: 10M (default: no limit)')
    .option('--client-bandwidth <size>', 'to one host, per second: 10M (default: no limit)')
    .option('--log-level <level>', 'how much it tells on standard error', 'info')
    .action(async (options: Given) => {
      const token = options.token ?? process.env['FIXPOINT_TOKEN'];
      if (token === undefined || token === '') {
        throw new Failure(
          exitCodes.usage,
          'token_missing',
          'the point has no secret',
          'Give it in FIXPOINT_TOKEN, as `fixpoint distribution add` showed it.',
        );
      }
      const data = options.data ?? join(dataFolder(), 'distribution-point');
      const point = await startPointHere({ ...options, token, data, version });
      print(
        `Distribution point ${point.name} listens on port ${String(point.port)}. Files are kept in ${data}.`,
      );
      await new Promise<void>((settle) => {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) {
          process.once(signal, () => {
            settle();
          });
        }
      });
      await point.stop();
      print('Stopped.');
    });
}
