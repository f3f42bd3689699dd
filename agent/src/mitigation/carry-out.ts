import { dirname } from 'node:path';
import type { MitigationOrder } from '@fixpoint/contract/mitigation.ts';
import type { ReportedMitigation } from '@fixpoint/core/inventory/inventory.ts';
import { sameSpaces } from '@fixpoint/core/mitigation/config-text.ts';
import { needsOf, type HostState } from '@fixpoint/core/mitigation/host-state.ts';
import { judge, type MitigationJudgement } from '@fixpoint/core/mitigation/judge.ts';
import { mitigationDigest } from '@fixpoint/core/mitigation/mitigation.ts';
import { leftUntilBoot, planApply, planUndo, type Operation } from '@fixpoint/core/mitigation/plan-steps.ts';
import { toIso, type Clock } from '../clock.ts';
import { countSessions, reasonNotToRestart } from '../execute/units.ts';
import { messageOf } from '../failure.ts';
import {
  folderExists,
  makeFolder,
  observe,
  readFileBefore,
  removeFile,
  removeFolderIfEmpty,
  replaceFile,
  showUnit,
  writeSysctl,
  type HostAccess,
} from './host-access.ts';
import { beforeOf, type MitigationRecord, type MitigationRecords } from './records.ts';

/**
 * Applies and undoes one mitigation on this host. What the host was is on disk before anything changes, and every operation
 * may be done twice; so whoever is killed anywhere in between is asked for the same again, and either goes on or goes back.
 */

export interface MitigationParts {
  readonly host: HostAccess;
  readonly records: MitigationRecords;
  readonly clock: Clock;
  readonly ownUnit: string | null;
  /** Names or patterns of units that the policy of the host says never to restart. */
  readonly neverRestart?: readonly string[];
  /** Called when configuration is written and nothing has taken it up yet; for fault tests. */
  readonly onWritten: () => void;
}

export type MitigationResult =
  | {
      readonly ok: true;
      readonly state: ReportedMitigation['state'] | 'undone';
      readonly detail: string;
      readonly untilReboot: boolean;
    }
  /** Nothing is left of it, unless the message says so. */
  | { readonly ok: false; readonly message: string };

const failed = (message: string): MitigationResult => ({ ok: false, message });

/** Makes the host have a mitigation, whatever was begun of it before. What does not take effect is taken back. */
export async function applyMitigation(
  order: MitigationOrder,
  parts: MitigationParts,
): Promise<MitigationResult> {
  const { host, records } = parts;
  let record = records.read(order.id);
  // Another edition, or one on its way back: first all of it goes.
  if (
    record !== null &&
    (record.phase === 'undoing' || mitigationDigest(record.order) !== mitigationDigest(order))
  ) {
    const undone = await undoMitigation(order.id, parts);
    if (!undone.ok) return undone;
    record = null;
  }
  const state = await observe(host, needsOf(order));
  const plan = planApply(order, state, othersOf(records, order.id));
  if (!plan.ok) return record === null ? failed(plan.message) : await takeBack(order.id, plan.message, parts);
  const writes = plan.operations.filter((operation) => operation.kind === 'write_file');
  if (record === null) {
    try {
      record = await recordOf(order, state, writes, parts);
    } catch (error) {
      return failed(messageOf(error));
    }
  } else {
    record = { ...record, written: { ...record.written, ...writtenBy(writes) } };
  }
  if (record.phase !== 'applied') records.write(record);
  try {
    for (const operation of plan.operations) {
      if (operation.kind !== 'write_file') continue;
      makeFolder(host, dirname(operation.path));
      const like = record.files[operation.path] ?? ownFileLike;
      replaceFile(host, operation.path, { ...like, text: operation.text });
    }
    parts.onWritten();
    for (const operation of plan.operations) {
      if (operation.kind !== 'write_file') await operate(operation, record, parts);
    }
  } catch (error) {
    return takeBack(order.id, messageOf(error), parts);
  }
  const judged = judge(order, await observe(host, needsOf(order)));
  const kept = judged.state === 'applied' || judged.state === 'unknown' || judged.until_reboot;
  if (!kept) return takeBack(order.id, judged.detail, parts);
  records.write({ ...record, phase: 'applied' });
  return { ok: true, state: judged.state, detail: judged.detail, untilReboot: judged.until_reboot };
}

async function takeBack(id: string, why: string, parts: MitigationParts): Promise<MitigationResult> {
  const undone = await undoMitigation(id, parts);
  return failed(
    undone.ok
      ? `${why} What was changed for it has been taken back.`
      : `${why} Taking it back failed too: ${undone.message}`,
  );
}

/** Brings the host back to what it was before. One that is not applied is undone already. */
export async function undoMitigation(id: string, parts: MitigationParts): Promise<MitigationResult> {
  const { host, records } = parts;
  const record = records.read(id);
  if (record === null) {
    return {
      ok: true,
      state: 'undone',
      detail: 'This agent has not applied it, so nothing had to be undone.',
      untilReboot: false,
    };
  }
  const state = await observe(host, needsOf(record.order));
  // Not known to be through: services may have their old configuration still, or none that they start with.
  const isHalf = record.phase === 'applying';
  const plan = planUndo(record.order, beforeOf(record), state, othersOf(records, id));
  if (!plan.ok) return failed(plan.message);
  records.write({ ...record, phase: 'undoing' });
  try {
    const isFile = (operation: Operation): boolean =>
      operation.kind === 'restore_file' || operation.kind === 'write_file';
    for (const operation of plan.operations.filter(isFile)) await operate(operation, record, parts);
    for (const folder of record.folders.toReversed()) removeFolderIfEmpty(host, folder);
    parts.onWritten();
    for (const operation of plan.operations.filter((one) => !isFile(one))) {
      if (operation.kind === 'check_sshd') {
        const problem = await problemOfSshd(host);
        // Removed since: what has no file of ours and no service needs no check.
        if (problem === 'command_missing') continue;
        if (isHalf && problem !== null) break;
      }
      await operate(operation, record, parts);
    }
  } catch (error) {
    return failed(messageOf(error));
  }
  records.remove(id);
  const left = leftUntilBoot(record.order, beforeOf(record));
  return { ok: true, state: 'undone', detail: left ?? 'The host is as it was before.', untilReboot: false };
}

function othersOf(records: MitigationRecords, id: string): MitigationOrder[] {
  return records.list().flatMap((record) => (record.order.id === id ? [] : [record.order]));
}

/** What a file that only the agent writes looks like. */
const ownFileLike = { mode: 0o644, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

type Write = Extract<Operation, { kind: 'write_file' }>;

const writtenBy = (writes: readonly Write[]): Record<string, string> =>
  Object.fromEntries(writes.map(({ path, text }) => [path, text]));

async function recordOf(
  order: MitigationOrder,
  state: HostState,
  writes: readonly Write[],
  { host, records, clock }: MitigationParts,
): Promise<MitigationRecord> {
  const others = records.list().filter((other) => other.order.id !== order.id);
  const folders = [...new Set(writes.map(({ path }) => dirname(path)))].filter(
    (path) => !folderExists(host, path),
  );
  const activeUnits: string[] = [];
  for (const { unit } of order.restart_units) {
    if ((await showUnit(host, unit, []))?.['ActiveState'] === 'active') activeUnits.push(unit);
  }
  return {
    format: 1,
    phase: 'applying',
    order,
    at: toIso(clock.now()),
    files: Object.fromEntries(writes.map(({ path }) => [path, readFileBefore(host, path)])),
    written: writtenBy(writes),
    folders,
    // What another mitigation has changed already was otherwise before it; whichever goes last brings that back.
    sysctl: Object.fromEntries(
      Object.entries(state.sysctl).flatMap(([key, value]) => {
        const was = others.find((other) => other.sysctl[key] !== undefined)?.sysctl[key] ?? value;
        return was === null ? [] : [[key, was] as const];
      }),
    ),
    modules: Object.keys(state.modules).filter(
      (name) => state.modules[name]?.loaded === true || others.some((other) => other.modules.includes(name)),
    ),
    active_units: activeUnits,
  };
}

/** Carries out one operation; throws with a sentence when it does not work. */
async function operate(
  operation: Operation,
  record: MitigationRecord,
  parts: MitigationParts,
): Promise<void> {
  const { host } = parts;
  switch (operation.kind) {
    case 'write_file': {
      const now = readFileBefore(host, operation.path);
      if (now !== null) replaceFile(host, operation.path, { ...now, text: operation.text });
      return;
    }
    case 'restore_file': {
      const before = record.files[operation.path] ?? null;
      if (before === null) removeFile(host, operation.path);
      else replaceFile(host, operation.path, before);
      return;
    }
    case 'set_sysctl':
      try {
        writeSysctl(host, operation.key, operation.value);
      } catch (error) {
        throw new Error(
          `The kernel did not take ${operation.key} = ${operation.value}: ${messageOf(error)}.`,
          { cause: error },
        );
      }
      return;
    case 'unload_module':
      // One in use stays; the judgement says so.
      await host.run(['modprobe', '--remove', '--quiet', operation.module], { timeoutSeconds: 60 });
      return;
    case 'load_module':
      await must(
        host,
        ['modprobe', '--quiet', operation.module],
        `${operation.module} could not be loaded again`,
      );
      return;
    case 'check_sshd':
      await must(host, ['sshd', '-t'], 'sshd would not start with this configuration');
      return;
    case 'reload_systemd':
      await must(host, ['systemctl', 'daemon-reload'], 'systemd did not read its units again');
      return;
    case 'restart_unit':
      await restart(operation, record, parts);
  }
}

async function must(
  host: HostAccess,
  argv: readonly [string, ...string[]],
  otherwise: string,
): Promise<void> {
  const answer = await host.run(argv, { timeoutSeconds: 120 });
  if (!answer.ok) throw new Error(`${otherwise}: ${sameSpaces(answer.message).slice(0, 400)}.`);
}

/** Why sshd would not start. What keeps it from starting after our file is gone is not ours to judge, and nothing to reload for. */
async function problemOfSshd(host: HostAccess): Promise<string | null> {
  const answer = await host.run(['sshd', '-t'], { timeoutSeconds: 120 });
  return answer.ok ? null : answer.code;
}

/** A service that dies of its reload does so a moment after it. */
const settleSeconds = 1;

/**
 * Has a service that runs take up its configuration, and looks whether it still runs. One that did not run stays so; one
 * that ran before the mitigation and has died since is started.
 */
async function restart(
  { unit, how }: Extract<Operation, { kind: 'restart_unit' }>,
  { active_units: activeBefore }: MitigationRecord,
  { host, ownUnit, neverRestart, clock }: MitigationParts,
): Promise<void> {
  const before = await showUnit(host, unit, ['CanReload']);
  if (before === null || before['LoadState'] === 'not-found') return;
  const hasDied = before['ActiveState'] === 'failed' && activeBefore.includes(unit);
  if (before['ActiveState'] !== 'active' && !hasDied) return;
  // systemd restarts what is to be reloaded and has no way to.
  if ((how === 'restart' || before['CanReload'] === 'no') && !hasDied) {
    const reason = reasonNotToRestart(unit, ownUnit, countSessions(), neverRestart);
    if (reason !== null) throw new Error(`${unit} is not restarted without a person: ${reason}.`);
  }
  const verb = hasDied ? 'start' : how === 'reload' ? 'try-reload-or-restart' : 'try-restart';
  await must(
    host,
    ['systemctl', verb, '--no-ask-password', '--', unit],
    `${unit} did not take up its configuration`,
  );
  await clock.sleep(settleSeconds);
  const state = (await showUnit(host, unit, []))?.['ActiveState'];
  if (state !== 'active' && state !== 'reloading') {
    throw new Error(`${unit} is ${state ?? 'not there'} after taking up its configuration.`);
  }
}

/**
 * What every mitigation of this host comes to now. What is in between counts as not applied, and what cannot be read or
 * looked at is unknown: neither keeps the rest of the inventory from being told.
 */
export async function collectMitigations(
  host: HostAccess,
  records: MitigationRecords,
): Promise<ReportedMitigation[]> {
  const reported: ReportedMitigation[] = [];
  for (const id of records.ids()) {
    try {
      const record = records.read(id);
      if (record !== null) reported.push(await reportOf(host, record));
    } catch (error) {
      const detail = `It could not be looked at: ${sameSpaces(messageOf(error)).slice(0, 500)}`;
      reported.push({ id, digest: unreadDigest, state: 'unknown', detail, until_reboot: false });
    }
  }
  return reported;
}

/** Of no edition. */
const unreadDigest = '0'.repeat(64);

async function reportOf(host: HostAccess, { order, phase }: MitigationRecord): Promise<ReportedMitigation> {
  const judged: MitigationJudgement =
    phase === 'applied'
      ? judge(order, await observe(host, needsOf(order)))
      : {
          state: 'not_applied',
          detail: phase === 'applying' ? 'It is being applied.' : 'It is being taken back.',
          until_reboot: false,
        };
  return {
    id: order.id,
    digest: mitigationDigest(order),
    state: judged.state,
    detail: judged.detail.slice(0, 1_000),
    until_reboot: judged.until_reboot,
  };
}
