import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MitigationOrder } from '@fixpoint/contract/mitigation.ts';
import { mitigationDigest } from '@fixpoint/core/mitigation/mitigation.ts';
import { systemClock } from '../clock.ts';
import type { CommandResult } from '../run-command.ts';
import { applyMitigation, collectMitigations, undoMitigation, type MitigationParts } from './carry-out.ts';
import { parseModules, type HostAccess } from './host-access.ts';
import { openMitigationRecords } from './records.ts';

/** Real files in a root of its own; services answer as told. That real ones do too is shown in lab/src/mitigation.lab.test.ts. */

let root = '';
let stateDir = '';
let commands: string[] = [];
let answers: (argv: readonly string[]) => string | null = () => '';

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'mitigation-'));
  stateDir = join(root, 'var/lib/agent');
  mkdirSync(stateDir, { recursive: true });
  commands = [];
  answers = () => '';
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const host = (): HostAccess => ({
  root,
  run(argv): Promise<CommandResult> {
    commands.push(argv.join(' '));
    const stdout = answers(argv);
    return Promise.resolve(
      stdout === null
        ? {
            ok: false,
            code: 'command_failed',
            message: `${argv[0]} exited with 255`,
            exitCode: 255,
            stdout: '',
            stderr: '',
          }
        : { ok: true, stdout, stderr: '' },
    );
  },
});
const parts = (over: Partial<MitigationParts> = {}): MitigationParts => ({
  host: host(),
  records: openMitigationRecords(stateDir),
  clock: systemClock,
  ownUnit: null,
  onWritten: () => undefined,
  ...over,
});
const write = (path: string, text: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
};
const read = (path: string): string | null =>
  existsSync(join(root, path)) ? readFileSync(join(root, path), 'utf8') : null;

const runtime = 'proc/sys/kernel/unprivileged_userns_clone';
const own = 'etc/sysctl.d/zz-fixpoint-userns.conf';
const userns: MitigationOrder = {
  id: 'userns',
  steps: [{ kind: 'sysctl', key: 'kernel.unprivileged_userns_clone', value: '0' }],
  restart_units: [],
};
const pipes: MitigationOrder = {
  id: 'pipes',
  steps: [
    {
      kind: 'service_setting',
      unit: 'smbd.service',
      dialect: 'ini',
      file: '/etc/samba/smb.conf',
      section: 'global',
      key: 'nt pipe support',
      value: 'no',
    },
  ],
  restart_units: [{ unit: 'smbd.service', how: 'restart' }],
};

describe('a kernel parameter', () => {
  test('applied, reported, and undone without a trace', async () => {
    write(runtime, '1\n');
    expect(await applyMitigation(userns, parts())).toMatchObject({ ok: true, state: 'applied' });
    expect(read(runtime)).toBe('0\n');
    expect(read(own)).toMatch(/^# fixpoint mitigation userns\n/u);
    expect(await collectMitigations(host(), parts().records)).toMatchObject([
      { id: 'userns', digest: mitigationDigest(userns), state: 'applied', until_reboot: false },
    ]);
    expect(await undoMitigation('userns', parts())).toMatchObject({ ok: true, state: 'undone' });
    expect(read(runtime)).toBe('1\n');
    expect(existsSync(join(root, 'etc/sysctl.d'))).toBe(false);
    expect(await collectMitigations(host(), parts().records)).toEqual([]);
    expect(await undoMitigation('userns', parts())).toMatchObject({ ok: true, state: 'undone' });
  });

  test('a kernel without it is left as it is', async () => {
    expect(await applyMitigation(userns, parts())).toMatchObject({ ok: false });
    expect(existsSync(join(root, 'etc'))).toBe(false);
    expect(parts().records.list()).toEqual([]);
  });

  test('what does not take effect is taken back', async () => {
    write('etc/sysctl.d/zzz-local.conf', 'kernel.unprivileged_userns_clone = 1\n');
    write(runtime, '1\n');
    const result = await applyMitigation(userns, parts());
    expect(result).toMatchObject({ ok: false });
    expect(!result.ok && result.message).toMatch(
      /zzz-local\.conf .* after us\. What was changed for it has been taken back\./u,
    );
    expect(read(runtime)).toBe('1\n');
    expect(read(own)).toBeNull();
  });

  test('what somebody changed since is reported, and not lost by undoing', async () => {
    write(runtime, '1\n');
    await applyMitigation(userns, parts());
    write(own, `${read(own) ?? ''}vm.swappiness = 10\n`);
    expect(await undoMitigation('userns', parts())).toMatchObject({ ok: false });
    expect(read(own)).toContain('vm.swappiness');
    write(runtime, '1\n');
    expect(await collectMitigations(host(), parts().records)).toMatchObject([{ state: 'overridden' }]);
  });

  test('killed after anything: asked again, it goes on; asked to undo, it goes back', async () => {
    for (const then of ['apply', 'undo'] as const) {
      for (const stop of ['recorded', 'written', 'set'] as const) {
        write(runtime, '1\n');
        await applyMitigation(userns, parts());
        // as a crash would have left it
        const record = parts().records.read('userns');
        if (record === null) throw new Error('there is no record');
        parts().records.write({ ...record, phase: 'applying' });
        if (stop !== 'set') write(runtime, '1\n');
        if (stop === 'recorded') rmSync(join(root, own));
        expect(await collectMitigations(host(), parts().records)).toMatchObject([{ state: 'not_applied' }]);
        if (then === 'apply') {
          expect(await applyMitigation(userns, parts())).toMatchObject({ ok: true, state: 'applied' });
          expect(read(runtime)).toBe('0\n');
        }
        expect(await undoMitigation('userns', parts())).toMatchObject({ ok: true });
        expect([read(runtime), read(own)]).toEqual(['1\n', null]);
      }
    }
  });

  test('a record that cannot be read is unknown, and neither applied over nor taken for undone', async () => {
    write(runtime, '1\n');
    await applyMitigation(userns, parts());
    write('var/lib/agent/mitigations/userns.json', '{"format":1}');
    expect(await collectMitigations(host(), parts().records)).toMatchObject([
      { id: 'userns', state: 'unknown' },
    ]);
    await expect(applyMitigation(userns, parts())).rejects.toThrow(/not what the agent wrote/u);
    await expect(undoMitigation('userns', parts())).rejects.toThrow(/not what the agent wrote/u);
    expect(read(own)).not.toBeNull();
  });

  test('another edition replaces the first, and what was before that is kept', async () => {
    write(runtime, '1\n');
    write('proc/sys/user/max_user_namespaces', '1000\n');
    await applyMitigation(userns, parts());
    const second: MitigationOrder = {
      ...userns,
      steps: [{ kind: 'sysctl', key: 'user.max_user_namespaces', value: '0' }],
    };
    expect(await applyMitigation(second, parts())).toMatchObject({ ok: true, state: 'applied' });
    expect([read(runtime), read('proc/sys/user/max_user_namespaces')]).toEqual(['1\n', '0\n']);
    await undoMitigation('userns', parts());
    expect([read(runtime), read('proc/sys/user/max_user_namespaces')]).toEqual(['1\n', '1000\n']);
  });
});

describe('a file that belongs to somebody else', () => {
  const text = '[global]\n  workgroup = X\n[homes]\n  path = /srv\n';
  beforeEach(() => {
    write('etc/samba/smb.conf', text);
    chmodSync(join(root, 'etc/samba/smb.conf'), 0o640);
    answers = (argv) => (argv[1] === 'show' ? 'LoadState=loaded\nActiveState=active\n' : '');
  });
  test('keeps its mode, and is byte by byte what it was', async () => {
    expect(await applyMitigation(pipes, parts())).toMatchObject({ ok: true, state: 'applied' });
    expect(statSync(join(root, 'etc/samba/smb.conf')).mode & 0o777).toBe(0o640);
    expect(commands).toContain('systemctl try-restart --no-ask-password -- smbd.service');
    expect(await undoMitigation('pipes', parts())).toMatchObject({ ok: true });
    expect(read('etc/samba/smb.conf')).toBe(text);
    expect(statSync(join(root, 'etc/samba/smb.conf')).mode & 0o777).toBe(0o640);
  });
  test('a service that does not come up again has it all taken back', async () => {
    answers = (argv) => {
      if (argv[1] !== 'show') return '';
      const changed = read('etc/samba/smb.conf') !== text;
      return `LoadState=loaded\nActiveState=${changed && commands.some((c) => c.includes('try-restart')) ? 'failed' : 'active'}\n`;
    };
    const result = await applyMitigation(pipes, parts());
    expect(!result.ok && result.message).toMatch(/smbd\.service is failed .* has been taken back/u);
    expect(read('etc/samba/smb.conf')).toBe(text);
  });
  test('a link is not followed', async () => {
    write('elsewhere', text);
    rmSync(join(root, 'etc/samba/smb.conf'));
    symlinkSync(join(root, 'elsewhere'), join(root, 'etc/samba/smb.conf'));
    expect(await applyMitigation(pipes, parts())).toMatchObject({ ok: false });
    expect(read('elsewhere')).toBe(text);
  });
});

test('a configuration that sshd would not start with is taken back', async () => {
  write('etc/ssh/sshd_config', 'Include /etc/ssh/sshd_config.d/*.conf\n');
  answers = (argv) => {
    if (argv[0] === 'sshd') return argv[1] === '-T' ? 'logingracetime 120\n' : null;
    return 'LoadState=loaded\nActiveState=active\n';
  };
  const login: MitigationOrder = {
    id: 'login',
    steps: [
      {
        kind: 'service_setting',
        unit: 'ssh.service',
        dialect: 'sshd_config',
        file: '/etc/ssh/sshd_config',
        section: null,
        key: 'LoginGraceTime',
        value: '0',
      },
    ],
    restart_units: [{ unit: 'ssh.service', how: 'reload' }],
  };
  const result = await applyMitigation(login, parts());
  expect(!result.ok && result.message).toMatch(/sshd would not start with this configuration/u);
  expect(commands.some((command) => command.includes('reload'))).toBe(false);
  expect(read('etc/ssh/sshd_config.d/00-fixpoint-login.conf')).toBeNull();
});

test('/proc/modules', () => {
  const text =
    'dccp_ipv4 20480 0 - Live 0x0000000000000000\ndccp 98304 1 dccp_ipv4, Live 0x0\nforced 1 - - Live 0x0\n';
  expect(Object.fromEntries(parseModules(text))).toEqual({
    dccp_ipv4: { inUse: false },
    dccp: { inUse: true },
    forced: { inUse: true },
  });
});

describe('what a mitigation must leave as it is', () => {
  test('a file in another encoding than UTF-8, which could not be written back', async () => {
    const latin1 = Buffer.from('[global]\n   server string = Z\xfcrich\n', 'latin1');
    write('etc/samba/smb.conf', '');
    writeFileSync(join(root, 'etc/samba/smb.conf'), latin1);
    expect(await applyMitigation(pipes, parts())).toMatchObject({ ok: false });
    expect(readFileSync(join(root, 'etc/samba/smb.conf'))).toEqual(latin1);
  });

  test('the value from before two mitigations that both want another', async () => {
    write(runtime, '1\n');
    const again = { ...userns, id: 'userns-again' };
    await applyMitigation(userns, parts());
    await applyMitigation(again, parts());
    await undoMitigation('userns', parts());
    expect(read(runtime)).toBe('0\n');
    await undoMitigation('userns-again', parts());
    expect(read(runtime)).toBe('1\n');
  });

  test('a service that may not be restarted, where it has no way to reload', async () => {
    write('etc/samba/smb.conf', '[global]\n');
    answers = (argv) => (argv[1] === 'show' ? 'LoadState=loaded\nActiveState=active\nCanReload=no\n' : '');
    const order: MitigationOrder = {
      ...pipes,
      restart_units: [...pipes.restart_units, { unit: 'agent.service', how: 'reload' }],
    };
    expect(await applyMitigation(order, parts({ ownUnit: 'agent.service' }))).toMatchObject({ ok: false });
    expect(commands.some((one) => one.includes('try-reload-or-restart'))).toBe(false);
  });

  test('no record of a service that has been removed since: there is nothing left to check', async () => {
    write('etc/ssh/sshd_config', 'Include /etc/ssh/sshd_config.d/*.conf\n');
    const grace: MitigationOrder = {
      id: 'grace',
      steps: [
        {
          kind: 'service_setting',
          unit: 'ssh.service',
          dialect: 'sshd_config',
          file: '/etc/ssh/sshd_config',
          section: null,
          key: 'LoginGraceTime',
          value: '0',
        },
      ],
      restart_units: [{ unit: 'ssh.service', how: 'reload' }],
    };
    answers = (argv) => (argv[1] === '-T' ? 'logingracetime 0\n' : 'LoadState=loaded\nActiveState=active\n');
    expect(await applyMitigation(grace, parts())).toMatchObject({ ok: true });
    const without: HostAccess = {
      root,
      run: (argv) =>
        Promise.resolve(
          argv[0] === 'sshd'
            ? {
                ok: false,
                code: 'command_missing',
                message: 'sshd is not here',
                exitCode: null,
                stdout: '',
                stderr: '',
              }
            : { ok: true, stdout: 'LoadState=not-found\n', stderr: '' },
        ),
    };
    expect(await undoMitigation('grace', parts({ host: without }))).toMatchObject({ ok: true });
    expect(parts().records.ids()).toEqual([]);
  });
});
