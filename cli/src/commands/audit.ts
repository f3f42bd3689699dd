import type { Command } from 'commander';
import { createReadStream, openSync, closeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Value } from 'typebox/value';
import { AuditEvent, AuditVerification } from '@fixpoint/contract/audit.ts';
import { chainVerifier } from '@fixpoint/core/audit/chain.ts';
import { exitCodes } from '../exit-codes.ts';
import { Failure } from '../failure.ts';
import { ask, stream } from '../http-client.ts';
import {
  fetchList,
  forList,
  forServer,
  printList,
  serverOf,
  type ListOptions,
  type ServerOptions,
} from '../list.ts';
import { codeOf, note, print, printJson, writeAll } from '../output/stream.ts';
import type { Column } from '../output/table.ts';

const columns: readonly Column<AuditEvent>[] = [
  { title: '#', of: (e) => String(e.sequence), align: 'right' },
  { title: 'AT', of: (e) => e.at.slice(0, 19).replace('T', ' ') },
  {
    title: 'WHO',
    of: (e) => (e.actor_kind === 'person' ? e.actor : `${e.actor_kind} ${e.actor}`),
    yields: 2,
    least: 12,
  },
  { title: 'WHAT', of: (e) => e.event },
  { title: 'OF', of: (e) => `${e.subject_kind} ${e.subject}`, yields: 1, least: 16 },
  { title: 'REASON', of: (e) => e.reason ?? '', yields: 3, least: 12 },
];

export function register(noun: Command): void {
  forList(noun.command('list').description('events, oldest first'))
    .option('--subject <id>', 'only of this asset, job, deployment, …')
    .option('--event <name>', 'such as finding.opened')
    .option('--vulnerability <id>', 'the story of one, across everything it touched')
    .action(async (options: ListOptions & { subject?: string; event?: string; vulnerability?: string }) => {
      const query = { subject: options.subject, event: options.event, vulnerability: options.vulnerability };
      const list = await fetchList(serverOf(options), '/api/v1/audit', AuditEvent, query, options);
      printList(list, columns, options, 'No such event.');
    });
  forServer(
    noun.command('verify').description('that nothing was changed, removed or inserted; with a file offline'),
  )
    .argument('[file]', 'what fixpoint audit export wrote')
    .option('--head <hash>', 'the hash of an event known to be there, with --head-sequence')
    .option('--head-sequence <n>', 'its number')
    .action(verify);
  forServer(
    noun.command('export').description('all events as JSON lines, to verify or keep elsewhere'),
    false,
  )
    .option('--output <file>', 'default: standard output')
    .action(async (options: ServerOptions & { output?: string }) => {
      const lines = await stream(serverOf(options), '/api/v1/audit/export', { timeoutSeconds: 3600 });
      await save(lines, options.output);
    });
}

interface VerifyOptions extends ServerOptions {
  readonly head?: string;
  readonly headSequence?: string;
}

async function verify(file: string | undefined, options: VerifyOptions): Promise<void> {
  if ((options.head === undefined) !== (options.headSequence === undefined)) {
    throw new Failure(
      exitCodes.usage,
      'usage',
      '--head and --head-sequence go together',
      'Give both or none.',
    );
  }
  const known =
    options.head === undefined ? null : { sequence: Number(options.headSequence), hash: options.head };
  const result =
    file === undefined
      ? await ask(serverOf(options), '/api/v1/audit/verify', AuditVerification, {
          query: known === null ? {} : { head_sequence: known.sequence, head_hash: known.hash },
          timeoutSeconds: 3600,
        })
      : await verifyFile(file, known);
  if (options.json === true) printJson(result);
  else if (result.ok) {
    print(`The audit trail holds: ${String(result.events)} events, none changed, removed or inserted.`);
    if (result.head !== null) print(`head ${result.head}`);
  }
  if (result.ok) return;
  process.exitCode = exitCodes.checkFailed;
  if (options.json === true) return;
  note(
    `error: the audit trail does not hold: event ${String(result.first_bad?.sequence ?? '?')}: ${result.first_bad?.problem ?? 'unknown'} (audit_broken)`,
  );
  note('what to do: keep this trail as it is, and compare it with an earlier export to see what was there.');
}

/** Line by line, so that a trail of any length can be verified. */
async function verifyFile(
  file: string,
  known: { readonly sequence: number; readonly hash: string } | null,
): Promise<AuditVerification> {
  const verifier = chainVerifier(known);
  let number = 0;
  const source = file === '-' ? process.stdin : createReadStream(file);
  const failed = new Promise<never>((_, reject) => {
    source.once('error', reject);
  });
  failed.catch(() => {});
  const lines = createInterface({ input: source, crlfDelay: Infinity });
  try {
    const read = async (): Promise<void> => {
      for await (const line of lines) {
        number++;
        if (line.trim() === '') continue;
        if (!verifier.next(eventOf(file, number, line))) break;
      }
    };
    await Promise.race([read(), failed]);
  } catch (error) {
    if (codeOf(error) === '') throw error;
    throw new Failure(
      codeOf(error) === 'ENOENT' ? exitCodes.usage : exitCodes.inputUnusable,
      codeOf(error) === 'ENOENT' ? 'file_not_found' : 'file_unreadable',
      `${file} cannot be read (${codeOf(error)})`,
      'Name a file that fixpoint audit export wrote.',
    );
  } finally {
    lines.close();
  }
  const { ok, events, head, firstBad } = verifier.end();
  if (events === 0) {
    throw new Failure(
      exitCodes.inputUnusable,
      'audit_file_empty',
      `${file} holds no audit event`,
      'A trail holds at least the start of the server: export it again.',
    );
  }
  const first =
    firstBad === null
      ? null
      : { sequence: firstBad.sequence, problem: `${firstBad.message} (${firstBad.problem})` };
  return { ok, events, head, first_bad: first };
}

function eventOf(file: string, number: number, line: string): AuditEvent {
  let value: unknown = null;
  try {
    value = JSON.parse(line);
  } catch {
    // Refused below, like JSON that is no event.
  }
  if (Value.Check(AuditEvent, value)) return value;
  throw new Failure(
    exitCodes.inputUnusable,
    'audit_file_malformed',
    `line ${String(number)} of ${file} is no audit event`,
    'Export the trail again; if this is the export as it was written, it was cut or altered there.',
  );
}

async function save(lines: ReadableStream<Uint8Array>, file: string | undefined): Promise<void> {
  const descriptor = file === undefined ? 1 : openSync(file, 'wx', 0o600);
  try {
    for await (const chunk of lines) if (!writeAll(descriptor, chunk)) return;
  } finally {
    if (file !== undefined) closeSync(descriptor);
  }
}
