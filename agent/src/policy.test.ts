import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HostPolicySchema } from '@fixpoint/contract/inventory.ts';
import { parseShape } from '@fixpoint/contract/parse.ts';
import { describePolicyFile } from './policy-command.ts';
import { mayPatchNow, mayRebootNow, policyFromText, readHostPolicy } from './policy.ts';

const problemOf = (text: string): string | null => policyFromText(text).policy?.problem ?? null;
const sample = readFileSync(new URL('../policy.sample.toml', import.meta.url), 'utf8');

describe('the text of a policy', () => {
  test('the sample says what its comments say', () => {
    const { policy, actions, probes } = policyFromText(sample);
    expect(policy).toMatchObject({
      problem: null,
      patching: 'allow',
      forbidden_packages: ['postgresql-*', 'linux-image-*'],
      hours: ['mon-fri 22:00-04:00', 'sat 00:00-24:00'],
      reboot: 'allow',
      reboot_hours: ['sat 02:00-05:00'],
      rollback: 'allow',
      actions: ['drain', 'undrain'],
      probes: ['queue-empty'],
      probe_targets: ['db.internal:5432', 'status.internal'],
      never_restart: ['myapp-batch@*.service'],
    });
    expect(actions.get('undrain')).toEqual({
      argv: ['/usr/local/bin/undrain', 'web'],
      user: 'app',
      timeoutSeconds: 120,
      environment: { BALANCER: 'lb1.internal' },
    });
    expect(probes.get('queue-empty')?.user).toBe('nobody');
  });
  test('what is told to the server has its shape, and holds no command', () => {
    for (const text of [sample, '', 'x = ', '[reboot]\nallow = false']) {
      const { policy } = policyFromText(text);
      expect(parseShape(HostPolicySchema, policy)).toMatchObject({ ok: true });
      expect(JSON.stringify(policy)).not.toMatch(/usr|lb1/u);
    }
  });
  test('an empty one allows what needs no name', () => {
    expect(policyFromText('').policy).toMatchObject({
      problem: null,
      patching: 'allow',
      reboot: 'allow',
      actions: [],
    });
    expect(policyFromText('[patching]\nallow = false').policy).toMatchObject({
      patching: 'forbid',
      reboot: 'allow',
    });
  });

  test.each<[string, string, string]>([
    ['no TOML', '[patching]\nallow = ', 'Line 2: it is no TOML'],
    [
      'an unknown section',
      '\n[patchin]\nallow = true',
      'Line 2: there is no "patchin"; did you mean patching?',
    ],
    [
      'an unknown key',
      '[reboot]\nallow = true\nhour = ["sat"]',
      'Line 3: there is no "hour" in [reboot]; did you mean hours?',
    ],
    [
      'an unknown key, written with a dot',
      '[patching]\npackages.forbidden = ["x"]',
      'Line 2: there is no "forbidden" in [patching.packages]; did you mean forbid?',
    ],
    [
      'an unknown key of a command',
      '[actions.x]\ncommand = ["/bin/true"]\ntimeout = 3',
      'Line 3: there is no "timeout" in [actions.x]; did you mean timeout_seconds?',
    ],
    ['targets outside of the probes', 'targets = ["a"]', 'Line 1: there is no "targets"'],
    ['words for true', '[reboot]\nallow = "yes"', 'Line 2: reboot.allow is true or false.'],
    [
      'hours that are none',
      '[patching]\nhours = ["weekdays 22:00-04:00"]',
      'Line 2: hours: "weekdays" is no day',
    ],
    ['hours as one text', '[patching]\nhours = "sat"', 'Line 2: patching.hours is a list'],
    ['a command as one text', '[actions.x]\ncommand = "/bin/true"', 'Line 2: actions.x.command is a list'],
    [
      'a command without its path',
      '[actions.x]\ncommand = ["true"]',
      'Line 2: actions.x.command begins with a program',
    ],
    ['a command that is a variable', '[actions.x]\ncommand = ["/a=b"]', 'whole path'],
    ['a command that is missing', '[probes.x]\nuser = "app"', 'probes.x'],
    [
      'a name that no job could use',
      '[actions.Drain]\ncommand = ["/bin/true"]',
      'actions.Drain has a name of small letters',
    ],
    [
      'a variable of the agent',
      '[actions.x]\ncommand = ["/bin/true"]\nenvironment = { FIXPOINT_TASK_ID = "1" }',
      'FIXPOINT_',
    ],
    ['a pattern with a space', '[patching]\npackages.forbid = ["a b"]', 'Line 2: patching.packages.forbid'],
    ['a target with a path', '[probes]\ntargets = ["http://x/"]', 'Line 2: probes.targets'],
    ['a table twice', '[reboot]\n[reboot]', 'it is no TOML'],
    ['keys that are no keys', '[__proto__]\nallow = true', 'it is no TOML'],
  ])('with %s forbids everything and says where', (_, text, words) => {
    const file = policyFromText(text);
    expect(file.policy?.problem).toContain(words);
    expect(file.policy).toMatchObject({ patching: 'forbid', reboot: 'forbid', rollback: 'forbid' });
    expect(file.actions.size + file.probes.size).toBe(0);
  });
});

describe('the file', () => {
  let folder = '';
  let path = '';
  const uid = process.getuid?.() ?? 0;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fixpoint-policy-'));
    path = join(folder, 'policy.toml');
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const read = () => readHostPolicy(path, uid).policy;

  test('that is not there is no policy', () => {
    expect(read()).toBeNull();
    expect(readHostPolicy(join(folder, 'none', 'policy.toml'), uid).policy).toBeNull();
  });
  test('that is right is read anew each time', () => {
    writeFileSync(path, '[reboot]\nallow = false', { mode: 0o600 });
    expect(read()).toMatchObject({ reboot: 'forbid', problem: null });
    writeFileSync(path, '');
    expect(read()).toMatchObject({ reboot: 'allow', problem: null });
  });
  test.each<[string, () => void, RegExp]>([
    [
      'that its group can write',
      () => writeFileSync(path, '') ?? chmodSync(path, 0o664),
      /written by others.*664/u,
    ],
    [
      'that everybody can write',
      () => writeFileSync(path, '') ?? chmodSync(path, 0o646),
      /written by others/u,
    ],
    [
      'in a folder that everybody can write',
      () => writeFileSync(path, '') ?? chmodSync(folder, 0o777),
      /^The folder/u,
    ],
    [
      'that is a link',
      () => writeFileSync(join(folder, 'x'), '') ?? symlinkSync('x', path),
      /symbolic link/u,
    ],
    [
      'that is a folder',
      () => {
        mkdirSync(path);
      },
      /not a regular file/u,
    ],
    [
      'that is too large',
      () => {
        writeFileSync(path, '#'.repeat(64 * 1024 + 1));
      },
      /larger than 64 KiB/u,
    ],
    [
      'that is no text',
      () => {
        writeFileSync(path, Buffer.from([0x23, 0xff, 0xfe]));
      },
      /not text/u,
    ],
  ])('%s forbids everything', (_, make, problem) => {
    make();
    expect(read()?.problem).toMatch(problem);
    expect(read()?.patching).toBe('forbid');
  });
  test.runIf(uid === 0)('that belongs to somebody else forbids everything', () => {
    writeFileSync(path, '');
    chownSync(path, 65_534, 65_534);
    expect(read()?.problem).toContain('belongs to user 65534');
  });
});

describe('hours', () => {
  const file = policyFromText(sample);
  // A Thursday, 20:30 in Berlin and 19:30 in UTC.
  const now = Date.parse('2026-11-26T19:30:00Z');
  test('are those of the wall of the host', () => {
    expect(mayPatchNow(file, now, 'Europe/Berlin')?.opensAt).toBe(Date.parse('2026-11-26T21:00:00Z'));
    expect(mayPatchNow(file, now, null)?.opensAt).toBe(Date.parse('2026-11-26T22:00:00Z'));
    expect(mayPatchNow(file, now, 'Asia/Dhaka')).toBeNull();
    expect(mayPatchNow(file, now, 'Europe/Berlin')?.message).toContain('by its own clock');
  });
  test('of reboots are their own', () => {
    expect(mayRebootNow(file, now, 'Asia/Tokyo')?.opensAt).toBe(Date.parse('2026-11-27T17:00:00Z'));
    expect(mayRebootNow(policyFromText('[reboot]\nallow = false'), now, null)).toMatchObject({
      opensAt: null,
    });
    expect(mayRebootNow(policyFromText('?'), now, null)?.message).toContain('Line 1');
  });
  test('without a policy there are none', () => {
    expect(mayPatchNow({ policy: null, actions: new Map(), probes: new Map() }, now, null)).toBeNull();
    expect(problemOf('')).toBeNull();
  });
});

describe('fixpoint-agent policy', () => {
  const now = Date.parse('2026-11-26T19:30:00Z');
  const samplePath = new URL('../policy.sample.toml', import.meta.url).pathname;
  test('says in words what a file comes to, without the values of variables', () => {
    const words = describePolicyFile(samplePath, false, now);
    expect(words).toContain('is in order');
    expect(words).toContain('untouched  postgresql-*, linux-image-*');
    expect(words).toMatch(
      /packages {3}may be changed mon-fri 22:00-04:00 and sat 00:00-24:00 by the clock of this host/u,
    );
    expect(words).toContain(
      'action     undrain: /usr/local/bin/undrain web, as app, at most 120 s, with BALANCER',
    );
    expect(words).toContain('warning    drain: /usr/local/bin/drain is not on this host');
    expect(words).not.toContain('lb1.internal');
    const json: unknown = JSON.parse(describePolicyFile(samplePath, true, now));
    expect(json).toMatchObject({ policy: { actions: ['drain', 'undrain'] } });
  });
  test('fails for a file that would forbid everything', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fixpoint-policy-'));
    writeFileSync(join(folder, 'p'), '[reboots]');
    expect(() => describePolicyFile(join(folder, 'p'), false, now)).toThrow('did you mean reboot?');
    expect(() => describePolicyFile(join(folder, 'q'), false, now)).toThrow('there is no');
    rmSync(folder, { recursive: true });
  });
});
