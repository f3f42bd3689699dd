import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  iniValue,
  parseRegQuery,
  parseSshd,
  sysctlAssignments,
  withIniBlock,
  withoutAlgorithms,
  withoutIniBlock,
} from './config-text.ts';
import { needsOf, ownFile, type HostState } from './host-state.ts';
import { judge, judgeRegistry } from './judge.ts';
import type { MitigationOrder } from './mitigation.ts';
import { leftUntilBoot, planApply, planUndo, type BeforeApply, type Operation } from './plan-steps.ts';
import { grace, pipes, order, userns, dccp, login } from './sample-orders.ts';

const host = (over: Partial<HostState> = {}): HostState => ({
  files: {},
  sysctl: { 'kernel.unprivileged_userns_clone': '1' },
  modules: {},
  sshd: null,
  sshd_problem: null,
  units: {},
  ...over,
});

/** The host after the operations, as far as it is files, parameters and modules. */
function after(
  state: HostState,
  operations: readonly Operation[],
  before: BeforeApply | null = null,
): HostState {
  const files = { ...state.files };
  const sysctl = { ...state.sysctl };
  const modules = { ...state.modules };
  for (const operation of operations) {
    if (operation.kind === 'write_file') files[operation.path] = operation.text;
    if (operation.kind === 'restore_file') files[operation.path] = before?.files[operation.path] ?? null;
    if (operation.kind === 'set_sysctl') sysctl[operation.key] = operation.value;
    if (operation.kind === 'unload_module' || operation.kind === 'load_module') {
      const loaded = operation.kind === 'load_module' || modules[operation.module]?.in_use === true;
      modules[operation.module] = { loaded, in_use: false, builtin: false };
    }
  }
  return { ...state, files, sysctl, modules };
}

function apply(one: MitigationOrder, state: HostState) {
  const plan = planApply(one, state);
  if (!plan.ok) throw new Error(plan.message);
  const written = Object.fromEntries(
    plan.operations.flatMap((o) => (o.kind === 'write_file' ? [[o.path, o.text] as const] : [])),
  );
  const before: BeforeApply = {
    files: Object.fromEntries(Object.keys(written).map((path) => [path, state.files[path] ?? null])),
    written,
    sysctl: Object.fromEntries(
      Object.entries(state.sysctl).flatMap(([key, value]) => (value === null ? [] : [[key, value]])),
    ),
    modules: Object.keys(state.modules).filter((name) => state.modules[name]?.loaded === true),
  };
  return { plan, before, state: after(state, plan.operations) };
}

describe('sysctl', () => {
  const own = ownFile.sysctl('userns');
  test('applied, judged and undone', () => {
    const first = host();
    expect(judge(userns, first).state).toBe('not_applied');
    const done = apply(userns, first);
    expect(judge(userns, done.state)).toMatchObject({ state: 'applied' });
    const undo = planUndo(userns, done.before, done.state);
    expect(undo.ok && after(done.state, undo.operations, done.before)).toEqual({
      ...first,
      files: { [own]: null },
    });
  });

  test.each<[string, Partial<HostState>, string, RegExp]>([
    [
      'set at run time only',
      { sysctl: { 'kernel.unprivileged_userns_clone': '0' } },
      'not_applied',
      /next boot/u,
    ],
    [
      'a later file',
      { files: { [own]: 'x', '/etc/sysctl.d/zzz.conf': 'kernel.unprivileged_userns_clone=1' } },
      'overridden',
      /zzz\.conf/u,
    ],
    [
      'the main file',
      { files: { '/etc/sysctl.conf': 'kernel/unprivileged_userns_clone = 1' } },
      'overridden',
      /sysctl\.conf/u,
    ],
    [
      'somebody at run time',
      { sysctl: { 'kernel.unprivileged_userns_clone': '1' } },
      'overridden',
      /at run time/u,
    ],
    [
      'a kernel without it',
      { sysctl: { 'kernel.unprivileged_userns_clone': null } },
      'unknown',
      /no parameter/u,
    ],
    [
      'an earlier file',
      { files: { '/usr/lib/sysctl.d/50-x.conf': '-kernel.unprivileged_userns_clone = 1' } },
      'applied',
      /now and by/u,
    ],
    [
      'a file of lower rank and the same name',
      { files: { '/usr/lib/sysctl.d/zz-fixpoint-userns.conf': 'kernel.unprivileged_userns_clone = 1' } },
      'applied',
      /now and by/u,
    ],
    [
      'a comment',
      { files: { '/etc/sysctl.d/zzz.conf': '#kernel.unprivileged_userns_clone=1\n;x=1' } },
      'applied',
      /now and by/u,
    ],
  ])('%s', (title, over, state, words) => {
    const applied = apply(userns, host()).state;
    const files =
      title === 'set at run time only'
        ? {}
        : { ...applied.files, ...over.files, [own]: applied.files[own] ?? null };
    const judged = judge(userns, { ...applied, ...over, files });
    expect(judged.state).toBe(state);
    expect(judged.detail).toMatch(words);
  });

  test('a parameter that moved on is left alone, as is one that another mitigation needs', () => {
    const done = apply(userns, host());
    const moved = { ...done.state, sysctl: { 'kernel.unprivileged_userns_clone': '2' } };
    const sets = (plan: ReturnType<typeof planUndo>) =>
      plan.ok && plan.operations.filter((o) => o.kind === 'set_sysctl');
    expect(sets(planUndo(userns, done.before, moved))).toEqual([]);
    expect(sets(planUndo(userns, done.before, done.state, [{ ...userns, id: 'other' }]))).toEqual([]);
    expect(sets(planUndo(userns, done.before, done.state, [userns]))).toHaveLength(1);
  });

  test('two that want different values, a file of somebody else, a kernel without it', () => {
    const other = order('other', [{ kind: 'sysctl', key: 'kernel.unprivileged_userns_clone', value: '1' }]);
    expect(planApply(userns, host(), [other])).toMatchObject({ ok: false, code: 'conflicts' });
    expect(planApply(userns, host({ files: { [own]: 'a\n' } }))).toMatchObject({
      ok: false,
      code: 'file_not_ours',
    });
    expect(planApply(userns, host({ sysctl: {} }))).toMatchObject({ ok: false, code: 'not_supported_here' });
  });

  test('what only a boot takes back', () => {
    const bpf = order('bpf', [{ kind: 'sysctl', key: 'kernel.unprivileged_bpf_disabled', value: '1' }]);
    const done = apply(bpf, host({ sysctl: { 'kernel.unprivileged_bpf_disabled': '0' } }));
    expect(leftUntilBoot(bpf, done.before)).toMatch(/next boot/u);
    const undo = planUndo(bpf, done.before, done.state);
    expect(undo.ok && undo.operations.map((o) => o.kind)).toEqual(['restore_file']);
    expect(leftUntilBoot(userns, done.before)).toBeNull();
  });

  test('slashes separate where they come first', () => {
    const files = { '/etc/sysctl.d/a.conf': 'net/ipv4/tcp_sack=0\nnet.ipv4.tcp_sack = 1' };
    expect(sysctlAssignments({ files }, 'net.ipv4.tcp_sack').map((one) => one.value)).toEqual(['0', '1']);
  });
});

describe('kernel module', () => {
  const loaded = (in_use: boolean): HostState =>
    host({ modules: { dccp: { loaded: true, in_use, builtin: false } } });
  test('unloaded where nothing uses it, loaded again afterwards', () => {
    const done = apply(dccp, loaded(false));
    expect(done.state.files[ownFile.modprobe('dccp')]).toContain('install dccp /bin/false\n');
    expect(judge(dccp, done.state).state).toBe('applied');
    const undo = planUndo(dccp, done.before, done.state);
    expect(undo.ok && undo.operations.map((o) => o.kind)).toEqual(['restore_file', 'load_module']);
  });
  test('in use: only a reboot is missing', () => {
    expect(judge(dccp, apply(dccp, loaded(true)).state)).toMatchObject({
      state: 'overridden',
      until_reboot: true,
    });
  });
  test('an earlier install line counts, a later one does not', () => {
    const { state } = apply(dccp, host());
    const file = (path: string) => ({
      ...state,
      files: { ...state.files, [path]: 'install dccp /sbin/modprobe -i dccp' },
    });
    expect(judge(dccp, file('/etc/modprobe.d/00-a.conf'))).toMatchObject({ state: 'overridden' });
    expect(judge(dccp, file('/etc/modprobe.d/b.conf'))).toMatchObject({ state: 'applied' });
  });
  test('built in', () => {
    const state = host({ modules: { dccp: { loaded: false, in_use: false, builtin: true } } });
    expect(planApply(dccp, state)).toMatchObject({ ok: false, code: 'not_supported_here' });
    expect(judge(dccp, state).state).toBe('not_applied');
  });
});

describe('sshd', () => {
  const main = '# comment\n\nInclude /etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n';
  const state = (over: Partial<HostState> = {}): HostState =>
    host({
      files: { '/etc/ssh/sshd_config': main },
      sshd: parseSshd('logingracetime 120\nciphers a-ctr,b-cbc,c-gcm\n'),
      ...over,
    });
  test('a drop-in of its own, checked before the reload', () => {
    const plan = planApply(login, state());
    expect(plan.ok && plan.operations).toMatchObject([
      { kind: 'write_file', path: '/etc/ssh/sshd_config.d/00-fixpoint-login.conf' },
      { kind: 'check_sshd' },
      { kind: 'restart_unit', unit: 'ssh.service', how: 'reload' },
    ]);
    expect(needsOf(login)).toMatchObject({ sshd: true, folders: ['/etc/ssh/sshd_config.d'] });
  });
  test('judged by what sshd says, not by the file', () => {
    const applied = { ...apply(login, state()).state };
    expect(judge(login, applied).state).toBe('overridden');
    expect(judge(login, { ...applied, sshd: { logingracetime: '0' } }).state).toBe('applied');
    expect(judge(login, state()).state).toBe('not_applied');
    expect(judge(login, state({ sshd: null, sshd_problem: 'it is not installed' })).state).toBe('unknown');
  });
  test('a removal keeps what somebody had removed before', () => {
    const ciphers = order('cbc', [{ ...grace, key: 'Ciphers', value: '-*-cbc' }], 'ssh.service');
    const done = apply(ciphers, state());
    expect(done.state.files[ownFile.sshd('cbc')]).toContain('\nCiphers a-ctr,c-gcm\n');
    expect(judge(ciphers, { ...done.state, sshd: { ciphers: 'a-ctr,c-gcm' } }).state).toBe('applied');
    expect(judge(ciphers, done.state).state).toBe('overridden');
    expect(planApply(ciphers, state({ sshd: { ciphers: 'b-cbc' } }))).toMatchObject({
      ok: false,
      code: 'nothing_left',
    });
  });
  test('a configuration that does not read the folder first is not touched', () => {
    for (const text of ['UsePAM yes\n', `UsePAM yes\n${main}`, null]) {
      expect(planApply(login, state({ files: { '/etc/ssh/sshd_config': text } })).ok).toBe(false);
    }
  });
});

describe('ini', () => {
  const smb = order('pipes', [pipes], 'smbd.service');
  const text = '[global]\n  workgroup = X\n\n[homes]\n  path = /x\n';
  const state = host({ files: { '/etc/samba/smb.conf': text } });
  test('applied at the end of its section, and gone without a trace', () => {
    const done = apply(smb, state);
    expect(judge(smb, done.state).state).toBe('applied');
    const undo = planUndo(smb, done.before, done.state);
    expect(undo.ok && after(done.state, undo.operations, done.before)).toEqual(state);
  });
  test('what somebody edited meanwhile stays', () => {
    const done = apply(smb, state);
    const edited = `${done.state.files['/etc/samba/smb.conf'] ?? ''}  guest ok = no\n`;
    const undo = planUndo(smb, done.before, { ...done.state, files: { '/etc/samba/smb.conf': edited } });
    expect(undo.ok && undo.operations[0]).toEqual({
      kind: 'write_file',
      path: '/etc/samba/smb.conf',
      text: `${text}  guest ok = no\n`,
    });
  });
  test('a file of our own that somebody changed is refused', () => {
    const done = apply(userns, host());
    const files = { [ownFile.sysctl('userns')]: 'kernel.x = 1\n' };
    expect(planUndo(userns, done.before, { ...done.state, files })).toMatchObject({
      ok: false,
      code: 'changed_since',
    });
  });
  test('the last of a section counts; a file that is read later may say anything', () => {
    expect(
      iniValue('[Global]\nNT Pipe  Support=No\n[x]\nnt pipe support = yes', 'global', 'nt pipe support'),
    ).toEqual({ value: 'No', followed_by_include: false });
    const included = host({
      files: { '/etc/samba/smb.conf': '[global]\nnt pipe support = no\ninclude = /x' },
    });
    expect(judge(smb, included).state).toBe('unknown');
    expect(
      judge(smb, host({ files: { '/etc/samba/smb.conf': '[global]\nnt pipe support = yes\n' } })).state,
    ).toBe('not_applied');
  });
  test('a block goes in and out of any text', () => {
    const lines = fc.array(fc.constantFrom('[global]', '[homes]', 'a = b', '# c', '', '  x=y'), {
      maxLength: 12,
    });
    fc.assert(
      fc.property(lines, (list) => {
        const given = list.map((line) => `${line}\n`).join('');
        const out = withIniBlock(given, 'pipes', 'global', [pipes]);
        expect(iniValue(out, 'global', pipes.key)).toEqual({ value: 'no', followed_by_include: false });
        expect(withIniBlock(out, 'pipes', 'global', [pipes])).toBe(out);
        if (list.includes('[global]')) expect(withoutIniBlock(out, 'pipes')).toBe(given);
      }),
    );
  });
});

describe('registry', () => {
  const step = {
    kind: 'registry_value',
    hive: 'HKLM',
    path: 'SYSTEM\\CurrentControlSet\\Services\\LanmanServer\\Parameters',
    name: 'DisableCompression',
    type: 'REG_DWORD',
    value: '1',
  } as const;
  const output = `\r\nHKEY_LOCAL_MACHINE\\${step.path}\r\n    DisableCompression    REG_DWORD    0x1\r\n\r\n`;
  test('reg query', () => {
    expect(parseRegQuery(output, 'disablecompression')).toEqual({ type: 'REG_DWORD', value: '1' });
    expect(
      parseRegQuery('ERROR: The system was unable to find the specified registry key or value.', 'x'),
    ).toBeNull();
    expect(judgeRegistry(step, parseRegQuery(output, step.name)).state).toBe('applied');
    expect(judgeRegistry(step, null).state).toBe('not_applied');
    expect(judgeRegistry(step, { type: 'REG_DWORD', value: '0' }).state).toBe('not_applied');
  });
  test('no Linux host takes it', () => {
    expect(planApply(order('w', [step]), host()).ok).toBe(false);
    expect(judge(order('w', [step]), host()).state).toBe('unknown');
  });
});

test('a list of stars keeps nobody busy', () => {
  const list = 'diffie-hellman-group-exchange-sha256,curve25519-sha256';
  const started = performance.now();
  expect(withoutAlgorithms(list, `-${'*'.repeat(30)}!,${'*e'.repeat(40)}`)).toEqual(list.split(','));
  expect(withoutAlgorithms(list, '-diffie-*-sha???,x')).toEqual(['curve25519-sha256']);
  expect(withoutAlgorithms('a.b,axb,a', '-a.b')).toEqual(['axb', 'a']);
  expect(performance.now() - started).toBeLessThan(500);
});
