import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mitigationProblems, orderProblems, stepProblem } from './grammar.ts';
import {
  mitigationDigest,
  parseMitigationPatchId,
  type Mitigation,
  type MitigationOrder,
  type MitigationStep,
} from './mitigation.ts';
import { grace, pipes, order, userns, dccp, login } from './sample-orders.ts';

describe('grammar', () => {
  test.each<[string, MitigationStep]>([
    ['a program that the kernel would start', { kind: 'sysctl', key: 'kernel.core_pattern', value: '0' }],
    ['a value that is no number', { kind: 'sysctl', key: 'user.max_user_namespaces', value: '|/bin/sh' }],
    ['a second line', { kind: 'sysctl', key: 'user.max_user_namespaces', value: '0\nkernel.x=1' }],
    ['an ending line break', { kind: 'sysctl', key: 'user.max_user_namespaces\n', value: '0' }],
    ['a path', { kind: 'sysctl', key: '../../etc/passwd', value: '0' }],
    ['a module with an option', { kind: 'kernel_module_blacklist', module: 'dccp /bin/sh' }],
    ['a module that the host lives on', { kind: 'kernel_module_blacklist', module: 'ext4' }],
    ...['ena', 'megaraid_sas', 'hv_netvsc', 'vmxnet3', 'af_packet', 'jbd2'].map(
      (module): [string, MitigationStep] => [
        `${module}, without which some host does not start or is not reached`,
        { kind: 'kernel_module_blacklist', module },
      ],
    ),
    ...[
      ['fs.suid_dumpable', '1'],
      ['fs.protected_symlinks', '0'],
      ['kernel.yama.ptrace_scope', '0'],
      ['kernel.unprivileged_userns_clone', '1'],
      ['kernel.kptr_restrict', '0'],
      ['user.max_pid_namespaces', '0'],
    ].map(([key = '', value = '']): [string, MitigationStep] => [
      `${key} = ${value}, which makes the host no safer`,
      { kind: 'sysctl', key, value },
    ]),
    ['any file', { ...grace, file: '/etc/passwd' }],
    ['a file outside of its folder', { ...grace, file: '/etc/ssh/sshd_config.d/../../passwd' }],
    ['a keyword that starts a program', { ...grace, key: 'AuthorizedKeysCommand', value: '/bin/sh' }],
    ['a keyword that Match may change', { ...grace, key: 'PermitRootLogin', value: 'no' }],
    ['a list that adds', { ...grace, key: 'Ciphers', value: '+3des-cbc' }],
    ['a section where there are none', { ...grace, section: 'global' }],
    ['a unit with a path', { ...grace, unit: '../x.service' }],
    [
      'a unit that would start something',
      {
        ...grace,
        dialect: 'systemd_unit_dropin',
        file: '/etc/systemd/system/ssh.service.d',
        section: 'Service',
        key: 'ExecStartPre',
        value: 'yes',
      },
    ],
    ['a script of samba', { ...pipes, key: 'root preexec', value: 'no' }],
    [
      'run at logon',
      {
        kind: 'registry_value',
        hive: 'HKLM',
        path: 'SOFTWARE\\Microsoft\\Windows\\CurrentVersion',
        name: 'a\\b',
        type: 'REG_SZ',
        value: 'x',
      },
    ],
    [
      'another key',
      { kind: 'registry_value', hive: 'HKLM', path: 'SAM\\SAM', name: 'x', type: 'REG_DWORD', value: '1' },
    ],
    [
      'more than a DWORD',
      {
        kind: 'registry_value',
        hive: 'HKLM',
        path: 'SYSTEM\\CurrentControlSet\\Services\\X',
        name: 'x',
        type: 'REG_DWORD',
        value: '4294967296',
      },
    ],
  ])('refuses %s', (_, step) => {
    expect(stepProblem(step)).not.toBeNull();
  });

  test.each<MitigationStep>([
    ...userns.steps,
    ...dccp.steps,
    grace,
    pipes,
    { ...grace, key: 'Ciphers', value: '-chacha20-poly1305@openssh.com,*-cbc' },
  ])('takes $kind', (step) => {
    expect(stepProblem(step)).toBeNull();
  });

  test('whatever is written into a file stays on its line', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', '0', '.', '-', '\n', '\r', ' ', '#', '=', '/', '*', '"', '$'),
    });
    fc.assert(
      fc.property(text, text, (a, b) => {
        const free: [MitigationStep, string][] = [
          [{ kind: 'sysctl', key: a, value: b }, a + b],
          [{ kind: 'sysctl', key: 'user.max_user_namespaces', value: b }, b],
          [{ kind: 'kernel_module_blacklist', module: a }, a],
          [{ ...grace, key: 'Ciphers', value: a }, a],
          [{ ...pipes, value: a }, a],
        ];
        for (const [step, written] of free) {
          if (stepProblem(step) === null) expect(written).not.toMatch(/[\n\r$#"/= ]/u);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('an order sets nothing twice, and reloads what reads its setting', () => {
    expect(orderProblems(order('login', [grace]))).toEqual([
      {
        path: '/restart_units',
        message: 'ssh.service would not take up its setting: it is neither reloaded nor restarted',
      },
    ]);
    expect(orderProblems(order('login', [grace, { ...grace, value: '5' }], 'ssh.service'))).toHaveLength(1);
    expect(orderProblems(login)).toEqual([]);
    expect(orderProblems(order('Bad Id', []))).toHaveLength(2);
  });

  test('registry values are for Windows only', () => {
    const mitigation: Mitigation = {
      ...userns,
      title: 't',
      description: 'd',
      mitigates: [{ vulnerability: 'CVE-2024-1086', effect: 'blocks', condition: 'c' }],
      applies_to: [{ ecosystem: 'windows', releases: [], packages: ['x'] }],
      side_effects: 's',
      reboot: false,
      sources: ['https://example.org/'],
      reviewed_by: 'r',
      reviewed_on: '2026-11-22',
    };
    expect(mitigationProblems(mitigation).map((one) => one.path)).toEqual(['/applies_to/0']);
    expect(
      mitigationProblems({
        ...mitigation,
        applies_to: [{ ecosystem: 'debian', releases: [], packages: ['linux'] }],
      }),
    ).toEqual([]);
  });

  test('ids', () => {
    expect(parseMitigationPatchId('mitigation:sysctl-userns')).toBe('sysctl-userns');
    expect(parseMitigationPatchId('mitigation:../x')).toBeNull();
    expect(parseMitigationPatchId('debian:12/openssl@1')).toBeNull();
  });
});

test('the digest names what a host is asked to do, and nothing else', () => {
  const digest = mitigationDigest(userns);
  expect(mitigationDigest({ ...userns, title: 'x' } as MitigationOrder)).toBe(digest);
  expect(mitigationDigest({ ...userns, steps: dccp.steps })).not.toBe(digest);
});
