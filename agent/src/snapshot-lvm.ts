import { mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseJson } from '@fixpoint/contract/parse.ts';
import { Type, type Static } from '@fixpoint/contract/schema.ts';
import { AgentFailure } from './failure.ts';
import { runCommand, type CommandResult } from './run-command.ts';
import type { Taken } from './snapshot.ts';
import type { KeptLvmSnapshot } from './task/kept.ts';

/**
 * Snapshots of a root on a logical volume: lvcreate(8), lvconvert(8), lvs(8). A thick one holds what is overwritten, in free space of
 * its volume group; a thin one shares the pool. Held to answers in the form
 * that lvmreport(7) describes: no machine that this was built on has a device mapper.
 */

/** What runs the commands; a test hands recordings. */
export interface LvmHost {
  readonly mounts: () => string;
  run(argv: readonly [string, ...string[]]): Promise<CommandResult>;
}

export const thisLvmHost: LvmHost = {
  mounts: () => readFileSync('/proc/self/mountinfo', 'utf8'),
  run: (argv) => runCommand(argv, { timeoutSeconds: 300 }),
};

/** Of the origin: so much may be overwritten before a thick snapshot is full, and never less than the second. */
const thickShare = 0.2;
const thickLeastBytes = 1024 ** 3;
/** A pool that is fuller may run full while packages are installed, and with it every volume in it. */
const poolFullPercent = 80;

const text = Type.String();
const Volumes = Type.Object({
  report: Type.Array(
    Type.Object({
      lv: Type.Array(
        Type.Object({
          vg_name: text,
          lv_name: text,
          lv_attr: text,
          lv_size: text,
          vg_free: text,
          pool_lv: text,
          data_percent: text,
          origin: text,
        }),
      ),
    }),
  ),
});
type Volume = Static<typeof Volumes>['report'][number]['lv'][number];
const fields = 'vg_name,lv_name,lv_attr,lv_size,vg_free,pool_lv,data_percent,origin';

export interface LvmPlace {
  readonly kind: 'lvm';
  readonly group: string;
  readonly volume: string;
  readonly fileSystem: string;
  /** Null for a thin volume, whose snapshots have no size of their own. */
  readonly snapshotBytes: number | null;
}

/** Device and type of the file system that is the root, by /proc/PID/mountinfo (proc(5)); null when it lies on no mapped device. Pure. */
export function parseMappedRoot(
  mountinfo: string,
): { readonly device: string; readonly fileSystem: string } | null {
  const line = mountinfo.split('\n').findLast((one) => one.split(' ')[4] === '/');
  const [fileSystem, device] = line?.slice(line.indexOf(' - ') + 3).split(' ') ?? [];
  if (fileSystem === undefined || device?.startsWith('/dev/mapper/') !== true) return null;
  return { device, fileSystem };
}

/** Reads `lvs --reportformat json`; null when it is nothing of the kind. Pure. */
export function parseVolumes(json: string): readonly Volume[] | null {
  const parsed = parseJson(Volumes, json);
  return parsed.ok ? parsed.value.report.flatMap((one) => one.lv) : null;
}

/** What a snapshot of a volume would be; null when there can be none, or not now. Pure. */
export function planOfSnapshot(volume: Volume, pool: Volume | null): number | 'thin' | null {
  const [type] = volume.lv_attr;
  if (type === 'V') {
    return pool !== null && Number(pool.data_percent) < poolFullPercent ? 'thin' : null;
  }
  // Plain, origin of snapshots already, or raid; not a snapshot itself, a mirror, a cache.
  if (type === undefined || !'-oOr'.includes(type)) return null;
  const wanted = Math.max(thickLeastBytes, Math.ceil(Number(volume.lv_size) * thickShare));
  return Number(volume.vg_free) >= wanted ? wanted : null;
}

async function volumesOf(host: LvmHost, what: string): Promise<readonly Volume[]> {
  const answer = await host.run([
    'lvs',
    '--reportformat',
    'json',
    '--units',
    'b',
    '--nosuffix',
    '-o',
    fields,
    what,
  ]);
  return answer.ok ? (parseVolumes(answer.stdout) ?? []) : [];
}

export async function detectLvm(host: LvmHost = thisLvmHost): Promise<LvmPlace | null> {
  const root = parseMappedRoot(host.mounts());
  if (root === null) return null;
  const [volume] = await volumesOf(host, root.device);
  if (volume === undefined) return null;
  const [pool = null] =
    volume.pool_lv === '' ? [] : await volumesOf(host, `${volume.vg_name}/${volume.pool_lv}`);
  const plan = planOfSnapshot(volume, pool);
  if (plan === null) return null;
  return {
    kind: 'lvm',
    group: volume.vg_name,
    volume: volume.lv_name,
    fileSystem: root.fileSystem,
    snapshotBytes: plan === 'thin' ? null : plan,
  };
}

/** @param name of the task, unique among snapshots; one of that name that is there already is it */
export async function takeLvm(name: string, host: LvmHost = thisLvmHost): Promise<Taken<KeptLvmSnapshot>> {
  const place = await detectLvm(host);
  if (place === null) {
    return { ok: false, message: 'This host can make no snapshot of its root file system.' };
  }
  const { group, volume: origin } = place;
  const volume = `fixpoint-${name}`;
  const snapshot: KeptLvmSnapshot = { kind: 'lvm', group, volume, origin };
  if ((await volumesOf(host, `${group}/${volume}`)).length === 0) {
    const size =
      place.snapshotBytes === null
        ? ['--setactivationskip', 'n']
        : ['--size', `${String(place.snapshotBytes)}b`];
    const made = await host.run([
      'lvcreate',
      '--yes',
      '--snapshot',
      '--name',
      volume,
      ...size,
      `${group}/${origin}`,
    ]);
    if (!made.ok) return { ok: false, message: made.message };
  }
  const problem = await problemOf(snapshot, host);
  return problem === null ? { ok: true, snapshot } : { ok: false, message: problem };
}

/** Why a snapshot cannot be gone back to; null when it can. A thick one that has run full holds nothing any more. */
async function problemOf({ group, volume }: KeptLvmSnapshot, host: LvmHost): Promise<string | null> {
  const [found] = await volumesOf(host, `${group}/${volume}`);
  if (found === undefined) return `The snapshot ${group}/${volume} is not there.`;
  return found.lv_attr[4] === 'I' || found.lv_attr[4] === 'S'
    ? `The snapshot ${group}/${volume} has run full and holds nothing any more.`
    : null;
}

/** Takes a snapshot away; one that is not there any more is no problem. */
export async function forgetLvm(snapshot: KeptLvmSnapshot, host: LvmHost = thisLvmHost): Promise<void> {
  const at = `${snapshot.group}/${snapshot.volume}`;
  if ((await volumesOf(host, at)).length === 0) return;
  must(await host.run(['lvremove', '--yes', at]));
}

/**
 * Has the snapshot merged into the root when that is activated next, which is at the next boot. What is written from now on to that
 * boot is lost but for `stateDir`, which is copied into the snapshot as it is now: the agent must not forget what it has obeyed.
 */
export async function restoreLvm(
  snapshot: KeptLvmSnapshot,
  stateDir: string,
  host: LvmHost = thisLvmHost,
): Promise<void> {
  const problem = await problemOf(snapshot, host);
  if (problem !== null) throw new AgentFailure('snapshot_gone', problem, 'Restore the host by hand.');
  const fileSystem = parseMappedRoot(host.mounts())?.fileSystem;
  const top = mkdtempSync(join(tmpdir(), 'fixpoint-lvm-'));
  try {
    // XFS mounts no second file system of the same UUID unless told to.
    const options = fileSystem === 'xfs' ? 'rw,nouuid' : 'rw';
    must(await host.run(['mount', '-o', options, `/dev/${snapshot.group}/${snapshot.volume}`, top]));
    try {
      const state = join(top, stateDir);
      rmSync(state, { recursive: true, force: true });
      mkdirSync(join(state, '..'), { recursive: true, mode: 0o755 });
      must(await host.run(['cp', '--archive', stateDir, state]));
    } finally {
      must(await host.run(['umount', top]));
    }
  } finally {
    rmdirSync(top);
  }
  must(await host.run(['lvconvert', '--yes', '--merge', `${snapshot.group}/${snapshot.volume}`]));
}

function must(answer: CommandResult): void {
  if (answer.ok) return;
  throw new AgentFailure('lvm_failed', answer.message, 'Look at the volume group (vgs, lvs -a).');
}
