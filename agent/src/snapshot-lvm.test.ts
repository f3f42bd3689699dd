import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCommand, type CommandResult } from './run-command.ts';
import {
  detectLvm,
  forgetLvm,
  parseMappedRoot,
  parseVolumes,
  planOfSnapshot,
  restoreLvm,
  takeLvm,
  type LvmHost,
} from './snapshot-lvm.ts';

/** Volumes of a host that is not there: `lvs` answers in the form of lvmreport(7), and changes as the commands say. */

const gibibyte = 1024 ** 3;
const mounts = (device: string, type = 'ext4'): string =>
  `22 1 254:0 / / rw,relatime shared:1 - ${type} ${device} rw\n23 22 0:5 / /dev rw - devtmpfs udev rw\n`;

interface Lv {
  lv_attr: string;
  lv_size: number;
  pool_lv?: string;
  data_percent?: string;
}

let dir: string;
let ran: string[][];
let lvs: Record<string, Lv>;
let free: number;
let fails: string | null;
let type: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fixpoint-lvm-test-'));
  ran = [];
  lvs = { root: { lv_attr: '-wi-ao----', lv_size: 10 * gibibyte } };
  free = 5 * gibibyte;
  fails = null;
  type = 'ext4';
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const ok = (stdout = ''): CommandResult => ({ ok: true, stdout, stderr: '' });
const no = (message: string): CommandResult => ({
  ok: false,
  code: 'command_failed',
  message,
  exitCode: 5,
  stdout: '',
  stderr: message,
});

const host: LvmHost = {
  mounts: () => mounts('/dev/mapper/vg0-root', type),
  async run(argv) {
    ran.push([...argv]);
    const [command] = argv;
    const last = argv.at(-1) ?? '';
    const name = last === '/dev/mapper/vg0-root' ? 'root' : (last.split('/')[1] ?? last);
    if (command === fails) return no(`${command} failed`);
    if (command === 'lvs') {
      const lv = lvs[name];
      if (lv === undefined) return no(`Failed to find logical volume "vg0/${name}"`);
      const shown = {
        vg_name: 'vg0',
        lv_name: name,
        lv_attr: lv.lv_attr,
        lv_size: String(lv.lv_size),
        vg_free: String(free),
        pool_lv: lv.pool_lv ?? '',
        data_percent: lv.data_percent ?? '',
        origin: '',
      };
      return ok(JSON.stringify({ report: [{ lv: [shown] }] }));
    }
    if (command === 'lvcreate') {
      const made = argv[argv.indexOf('--name') + 1] ?? '';
      lvs[made] = { lv_attr: 'swi-a-s---', lv_size: gibibyte };
    }
    if (command === 'lvremove') delete lvs[name];
    // The snapshot is mounted: a folder stands in for what is in it.
    if (command === 'cp') return await runCommand(argv, { timeoutSeconds: 20 });
    return ok();
  },
};

describe('a root on a logical volume', () => {
  test('is known by its device', () => {
    expect(parseMappedRoot(mounts('/dev/mapper/vg0-root'))).toEqual({
      device: '/dev/mapper/vg0-root',
      fileSystem: 'ext4',
    });
    expect(parseMappedRoot(mounts('/dev/vda1'))).toBeNull();
    expect(parseVolumes('{"report":[]}')).toEqual([]);
    expect(parseVolumes('no json')).toBeNull();
  });

  test('is offered only where a snapshot has room', async () => {
    expect(await detectLvm(host)).toMatchObject({
      group: 'vg0',
      volume: 'root',
      snapshotBytes: 2 * gibibyte,
    });
    free = gibibyte;
    expect(await detectLvm(host)).toBeNull();
    lvs['root'] = { lv_attr: 'Vwi-aotz--', lv_size: 10 * gibibyte, pool_lv: 'pool' };
    lvs['pool'] = { lv_attr: 'twi-aotz--', lv_size: 20 * gibibyte, data_percent: '42.10' };
    expect(await detectLvm(host)).toMatchObject({ snapshotBytes: null });
    lvs['pool'].data_percent = '91.00';
    expect(await detectLvm(host)).toBeNull();
  });

  test.each(['swi-a-s---', 'mwi-ao----', 'Cwi-aoC---', ''])('of attributes %j is left alone', (attr) => {
    const [volume] =
      parseVolumes(
        JSON.stringify({
          report: [
            {
              lv: [
                {
                  vg_name: 'v',
                  lv_name: 'l',
                  lv_attr: attr,
                  lv_size: '1',
                  vg_free: '99999999999',
                  pool_lv: '',
                  data_percent: '',
                  origin: '',
                },
              ],
            },
          ],
        }),
      ) ?? [];
    expect(volume === undefined ? 'none' : planOfSnapshot(volume, null)).toBeNull();
  });

  test('is kept once, however often it is asked', async () => {
    const taken = await takeLvm('task.1', host);
    expect(taken).toEqual({
      ok: true,
      snapshot: { kind: 'lvm', group: 'vg0', volume: 'fixpoint-task.1', origin: 'root' },
    });
    await takeLvm('task.1', host);
    expect(ran.filter(([command]) => command === 'lvcreate')).toEqual([
      [
        'lvcreate',
        '--yes',
        '--snapshot',
        '--name',
        'fixpoint-task.1',
        '--size',
        `${String(2 * gibibyte)}b`,
        'vg0/root',
      ],
    ]);
    if (taken.ok) await forgetLvm(taken.snapshot, host);
    expect(Object.keys(lvs)).toEqual(['root']);
  });

  test('that cannot be kept says why', async () => {
    fails = 'lvcreate';
    expect(await takeLvm('task.1', host)).toEqual({ ok: false, message: 'lvcreate failed' });
  });

  const snapshot = { kind: 'lvm', group: 'vg0', volume: 'fixpoint-task.1', origin: 'root' } as const;
  test('is merged at the next boot, with what the agent has obeyed since', async () => {
    lvs[snapshot.volume] = { lv_attr: 'swi-a-s---', lv_size: gibibyte };
    type = 'xfs';
    const state = join(dir, 'state');
    mkdirSync(state);
    writeFileSync(join(state, 'obeyed-sequence'), '7');
    let copied = '';
    const watching: LvmHost = {
      ...host,
      async run(argv) {
        const answer = await host.run(argv);
        if (argv[0] === 'cp') copied = readFileSync(join(argv.at(-1) ?? '', 'obeyed-sequence'), 'utf8');
        // What was written into the mounted snapshot is not there any more when it is unmounted.
        if (argv[0] === 'umount')
          rmSync(join(argv.at(-1) ?? '', dir.split('/')[1] ?? ''), { recursive: true });
        return answer;
      },
    };
    await restoreLvm(snapshot, state, watching);
    expect(copied).toBe('7');
    expect(ran.map(([command]) => command)).toEqual(['lvs', 'mount', 'cp', 'umount', 'lvconvert']);
    expect(ran[1]).toContain('rw,nouuid');
    expect(ran.at(-1)).toEqual(['lvconvert', '--yes', '--merge', 'vg0/fixpoint-task.1']);
    expect(existsSync(join(state, 'obeyed-sequence'))).toBe(true);
  });

  test('whose snapshot has run full is not gone back to', async () => {
    lvs[snapshot.volume] = { lv_attr: 'swi-I-s---', lv_size: gibibyte };
    await expect(restoreLvm(snapshot, dir, host)).rejects.toMatchObject({ code: 'snapshot_gone' });
    expect(ran.some(([command]) => command === 'lvconvert')).toBe(false);
  });
});
