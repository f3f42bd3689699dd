import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** The real product by its command line: a server that `fixpoint up` starts, and the nouns against it. */

const program = join(import.meta.dirname, '../bin/fixpoint');
const folder = mkdtempSync(join(tmpdir(), 'fixpoint-up-test-'));
// PostgreSQL does not run as root, and its own user has to reach its data.
chmodSync(folder, 0o755);
const data = join(folder, 'data');
const environment = {
  ...process.env,
  FIXPOINT_DATA: data,
  FIXPOINT_SERVER: '',
  FIXPOINT_TOKEN: '',
  XDG_CONFIG_HOME: join(folder, 'config'),
  XDG_CACHE_HOME: join(folder, 'cache'),
  DATABASE_URL: '',
  COLUMNS: '',
};
const here = existsSync('/var/lib/dpkg/status');

function run(args: readonly string[], input = '', changes: Record<string, string> = {}) {
  const { stdout, stderr, status } = spawnSync(program, args, {
    encoding: 'utf8',
    input,
    timeout: 30_000,
    env: { ...environment, ...changes },
  });
  return { stdout, stderr, status };
}

/** What the tests read of the items of lists. */
interface Item {
  readonly id: string;
  readonly name: string;
  readonly hostname: string;
  readonly packages: number;
  readonly vulnerability: string;
}

function json(args: readonly string[]): Item[] {
  const { stdout, stderr, status } = run([...args, '--json']);
  // the carried knowledge is older than a feed's limits, which is said beside every list that rests on it
  const rest = stderr.replaceAll(
    /^(?:warning: .+ is .+ old .+|what to do: see fixpoint feed status.*)\n/gmu,
    '',
  );
  expect([status, rest]).toEqual([0, '']);
  const items: Item[] = JSON.parse(stdout);
  return items;
}

interface Up {
  readonly child: ChildProcess;
  output(): string;
  readonly ended: Promise<number | null>;
}

function startUp(args: readonly string[] = []): Up {
  const child = spawn(program, ['up', '--listen', '127.0.0.1:0', ...args], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const collect = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const ended = new Promise<number | null>((resolve) => {
    child.on('exit', resolve);
  });
  return { child, output: () => output, ended };
}

async function until(up: Up, text: string, seconds = 90): Promise<void> {
  for (let waited = 0; !up.output().includes(text); waited += 0.1) {
    if (waited > seconds || up.child.exitCode !== null) throw new Error(`no "${text}" in:\n${up.output()}`);
    await sleep(100);
  }
}

let up: Up;
beforeAll(async () => {
  up = startUp();
  await until(up, 'Ctrl-C stops.');
}, 120_000);
afterAll(async () => {
  if (up.child.exitCode === null) {
    up.child.kill('SIGINT');
    await up.ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

describe('up', () => {
  test('tells the address, the first password, and what was found here', () => {
    expect(up.output()).toMatch(/The server answers at http:\/\/127\.0\.0\.1:\d+/u);
    expect(up.output()).toMatch(/password {2,}\S{12,}/u);
    if (here) expect(up.output()).toMatch(/This machine has (\d+ finding|no known)/u);
    else expect(up.output()).toContain('this machine is no asset');
  });

  test('a second one on the same folder says so', () => {
    const { stdout, stderr, status } = run(['up', '--listen', '127.0.0.1:0']);
    expect([status, stdout.includes('answers at')]).toEqual([10, false]);
    expect(stderr).toContain('(data_folder_in_use)');
    expect(stderr).toContain('what to do:');
  });
});

describe('the nouns', () => {
  test('without options they find the server of this machine, as its owner', () => {
    expect(run(['feed', 'status']).stdout).toContain('debian-osv');
    expect(json(['feed', 'status'])).toEqual(
      expect.arrayContaining([expect.objectContaining({ id: 'epss' })]),
    );
  });

  test.each([
    ['asset'],
    ['tag'],
    ['finding'],
    ['patch'],
    ['job'],
    ['calendar'],
    ['deployment'],
    ['alert'],
    ['audit'],
    ['token'],
    ['person'],
  ])('%s list answers, and its --json is a list', (noun) => {
    expect(run([noun, 'list']).status).toBe(0);
    expect(Array.isArray(json([noun, 'list']))).toBe(true);
  });

  test('calendars: imported, added, replaced, shown, exported, deleted', () => {
    const file = join(import.meta.dirname, '../../core/src/window/samples/google.ics');
    const imported = run(['calendar', 'import', file, '--name', 'Change freeze', '--everywhere']);
    expect([imported.status, imported.stderr]).toEqual([0, '']);
    expect(imported.stdout).toMatch(/heeded by +every job/u);
    expect(imported.stdout).toMatch(/events +3; not counted: 1 marked as free time, 1 cancelled/u);
    const again = run(['calendar', 'import', file, '--name', 'Change freeze']);
    expect([again.status, again.stderr]).toEqual([3, expect.stringMatching(/calendar_name_taken/)]);
    const entry = '2040-12-20..2041-01-04T06:00=Year end = quiet';
    const added = run(['calendar', 'add', 'own', '--zone', 'Europe/Berlin', '--entry', entry]);
    expect([added.status, added.stdout]).toEqual([0, expect.stringMatching(/Nothing is kept free/)]);
    const out = join(data, 'own.ics');
    expect(run(['calendar', 'export', 'own', out]).status).toBe(0);
    expect(readFileSync(out, 'utf8')).toMatch(
      /DTSTART:20401219T230000Z\r\nDTEND:20410104T050000Z\r\nSUMMARY:Year end = quiet/u,
    );
    expect(run(['calendar', 'export', 'Change freeze']).stdout).toBe(readFileSync(file, 'utf8'));
    // who replaces it says nothing of who heeds it
    expect(run(['calendar', 'import', out, '--name', 'Change freeze', '--replace']).stdout).toMatch(
      /heeded by +every job/u,
    );
    expect(run(['calendar', 'list']).stdout).toMatch(/own .*\n?.*nothing within 400 days/u);
    const wrong = run(['calendar', 'add', 'x', '--entry', 'tomorrow..later']);
    expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringMatching(/FROM\.\.UNTIL=TITLE/)]);
    for (const name of ['own', 'Change freeze']) expect(run(['calendar', 'delete', name]).status).toBe(0);
    expect(json(['calendar', 'list'])).toEqual([]);
  });

  test('a scheduled job shows its next runs in its own zone', () => {
    const definition = {
      name: 'grace on Saturdays',
      trigger: 'schedule',
      schedule: { zone: 'Pacific/Kiritimati', starts: { kind: 'weekly', days: ['sat'], at: '22:00' } },
      patches: ['mitigation:sshd-login-grace-time'],
      target: { tags: [], query: 'os = debian', assets: [], exclude: [] },
      units: 'restart',
      install_timeout_seconds: 600,
      expire_after_seconds: 3600,
      concurrency: 1,
    };
    const created = run(['job', 'create', '--file', '-'], JSON.stringify(definition));
    expect([created.status, created.stderr]).toEqual([0, '']);
    const runs = run(['job', 'runs', 'grace on Saturdays'], '', { TZ: 'UTC' });
    expect(runs.stdout).toMatch(/IN Pacific\/Kiritimati +HERE \(UTC\) +FROM NOW/u);
    expect(runs.stdout.match(/Sat \d{4}-\d\d-\d\d 22:00 +Sat \d{4}-\d\d-\d\d 08:00 +in \d/gu)).toHaveLength(
      10,
    );
    const { past, next }: { past: unknown[]; next: string[] } = JSON.parse(
      run(['job', 'runs', 'grace on Saturdays', '--json']).stdout,
    );
    expect([past.length, next.length]).toEqual([0, 10]);
  });

  test('feeds: imported by hand, packed, taken again, and enabled; what is old is said', () => {
    const file = join(
      import.meta.dirname,
      '../../server/src/feed/extract/known_exploited_vulnerabilities.json.gz',
    );
    const bundle = join(data, 'kev.tar.zst');
    expect(run(['feed', 'bundle', 'export', bundle])).toMatchObject({
      status: 3,
      stderr: expect.stringMatching(/bundle_empty/),
    });
    expect(run(['feed', 'import', 'cisa-kev', file, '--published', '2026-01-01']).stdout).toContain(
      '60 records read',
    );
    expect(run(['feed', 'status', 'cisa-kev']).stdout).toMatch(/is \d+ days old \(limit 5 days\)/);
    expect(run(['feed', 'bundle', 'export', bundle]).stdout).toContain('signed with the key');
    expect(run(['feed', 'bundle', 'import', bundle]).stdout).toContain('cisa-kev: unchanged');
    expect(run(['feed', 'bundle', 'import', file])).toMatchObject({
      status: 3,
      stderr: expect.stringMatching(/bundle_not_one/),
    });
    expect(run(['feed', 'bundle', 'trust', 'list']).stdout).toContain('No other key is trusted.');
    expect(run(['feed', 'sync'])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/no_feed_named/),
    });
    expect(run(['feed', 'sync', 'nothing'])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/feed_not_found/),
    });
    const url = 'http://127.0.0.1:9/feed';
    expect(run(['feed', 'enable', 'epss', '--url', url, '--every', '3600']).status).toBe(0);
    expect(run(['feed', 'sync', 'epss', '--wait'])).toMatchObject({
      status: 3,
      stdout: expect.stringMatching(/epss +failed: .*\n +what to do: /),
    });
    expect(run(['feed', 'disable', 'epss']).status).toBe(0);
    expect(run(['feed', 'rejections', 'cisa-kev']).stdout).toBe('None.\n');
    expect(run(['finding', 'list']).stderr).toMatch(/^warning: .* old \(limit /m);
  });

  test.skipIf(!here)('this machine: shown, tagged, previewed, and left alone because it only reports', () => {
    const [asset] = json(['asset', 'list']);
    expect(asset?.packages).toBeGreaterThan(10);
    const id = asset?.id ?? '';
    expect(run(['asset', 'show', id]).stdout).toContain('assess (reports only');
    expect(run(['tag', 'create', 'test/here']).status).toBe(0);
    expect(run(['tag', 'add', 'test/here', id]).status).toBe(0);
    const [patch] = json(['patch', 'list', '--asset', id]);
    if (patch === undefined) return;
    const job = ['job', 'create', '--patch', patch.id, '--target', 'tag:test/here', '--name', 'test'];
    const preview = run([...job, '--preview']).stdout;
    expect(preview).toContain('assess only');
    expect(run(['job', 'start', 'test']).status).toBe(3);
    const [finding] = json(['finding', 'list', '--asset', id, '--limit', '1']);
    const why = run(['finding', 'why', id, finding?.vulnerability ?? '']);
    expect(why.stdout).toMatch(/^rule {2,}\w+/mu);
  });

  test('a query: found, explained, completed; a refused one is shown with the place', () => {
    expect(run(['search', 'assets', 'os', '=', 'nothing-of-the-kind']).stdout).toMatch(
      /^Nothing\. Assets where /u,
    );
    expect(run(['search', 'assets', '--csv', '--columns', 'hostname,risk']).stdout).toMatch(
      here ? /^hostname,risk\r\n\S+,[\d.]+\r\n$/u : /^hostname,risk\r\n$/u,
    );
    expect(Array.isArray(json(['search', 'findings', 'exploited']))).toBe(true);
    expect(run(['asset', 'list', '--query', 'last_seen > 3d', '--sort', 'risk']).status).toBe(0);
    const wrong = run(['finding', 'list', '--query', 'exploited and svss > 9']);
    expect(wrong.status).toBe(3);
    expect(wrong.stderr).toContain('  exploited and svss > 9\n                ^^^^\n  near to it: cvss\n');
    expect(run(['query', 'explain', 'asset', 'os=debian']).stdout).toContain('os = debian');
    expect(run(['query', 'explain', 'asset', 'os =']).status).toBe(1);
    const line = "fixpoint search assets 'hostn";
    expect(run(['completion', 'answer', line, String(line.length)]).stdout).toBe('hostname\n');
    const summary = run(['posture']);
    expect([summary.status, summary.stdout]).toEqual([0, expect.stringMatching(/^All assets\.\n/u)]);
    expect(run(['posture', '--state']).stdout).toMatch(/^as of {2,}\d{4}-/mu);
  });

  test('refusals keep the code and advice of the server, and have their exit codes', () => {
    const missing = run(['deployment', 'show', '00000000-0000-4000-8000-000000000000']);
    expect([missing.status, missing.stdout]).toEqual([3, '']);
    expect(missing.stderr).toMatch(/^error: .* \(\w+\)\nwhat to do: /u);
    expect(run(['asset', 'list', '--token', 'wrong']).status).toBe(5);
    expect(run(['asset', 'list', '--server', 'http://127.0.0.1:9']).status).toBe(4);
    expect(run(['asset', 'list', '--server', 'nonsense:nonsense']).status).toBe(2);
    expect(run(['asset', 'list', '--limit', '0']).status).toBe(2);
    expect(run(['asset', 'lst']).status).toBe(2);
    expect(run(['asset']).status).toBe(2);
    expect(JSON.parse(run(['asset', 'list', '--token', 'wrong', '--json']).stderr)).toMatchObject({
      error: { code: expect.any(String), what_to_do: expect.any(String) },
    });
  });

  test('the token of this machine is not sent to another', () => {
    const { stderr, status } = run(['asset', 'list', '--server', 'http://127.0.0.1.example.invalid:8420']);
    expect(status).toBe(4);
    expect(stderr).not.toContain('operator-token');
  });

  test('sign in, use the session, sign out', () => {
    const password = /password {2,}(\S+)/u.exec(up.output())?.[1] ?? '';
    expect(run(['login', 'admin@fixpoint.localhost'], 'wrong\n').status).toBe(5);
    const signedIn = run(['login', 'admin@fixpoint.localhost'], `${password}\n`);
    expect(signedIn.stderr).toBe('');
    const file = join(folder, 'config/fixpoint/login.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    // Without the folder of the server there is no operator token: the session is what answers.
    expect(run(['asset', 'list'], '', { FIXPOINT_DATA: join(folder, 'elsewhere') }).status).toBe(0);
    expect(run(['logout']).status).toBe(0);
    expect(existsSync(file)).toBe(false);
  });

  test('a token of a tool: shown once, does only what it may, revoked', () => {
    const { stdout } = run(['token', 'create', 'reader', '--permission', 'read']);
    const secret = stdout.trim();
    expect(secret).toMatch(/^fxt_/u);
    expect(run(['asset', 'list'], '', { FIXPOINT_TOKEN: secret }).status).toBe(0);
    expect(run(['tag', 'create', 'no'], '', { FIXPOINT_TOKEN: secret }).status).toBe(3);
    const tokens = json(['token', 'list']);
    const id = tokens.find(({ name }) => name === 'reader')?.id ?? '';
    expect(run(['token', 'revoke', id]).status).toBe(0);
    expect(run(['asset', 'list'], '', { FIXPOINT_TOKEN: secret }).status).toBe(5);
  });

  test('enroll prints the command with a token that was made for it', () => {
    const { stdout } = run(['enroll', '--mode', 'manage', '--uses', '3']);
    expect(stdout).toMatch(
      /fixpoint-agent enroll --server http:\/\/127\.0\.0\.1:\d+ --token fxe_\S+ --mode manage/u,
    );
  });

  test('a feed: a file that is not one is refused and changes nothing', () => {
    const file = join(folder, 'not-a-feed.json');
    writeFileSync(file, '{"nothing": true}\n');
    const { status, stderr } = run(['feed', 'import', 'cisa-kev', file]);
    expect(status).toBe(3);
    expect(stderr).toContain('what to do:');
    expect(run(['feed', 'import', 'cisa-kev', join(folder, 'absent')]).status).toBe(2);
  });
});

describe('audit', () => {
  test('verified by the server and offline; an altered, cut or other file is named', () => {
    expect(run(['audit', 'verify']).stdout).toContain('The audit trail holds');
    const file = join(folder, 'audit.jsonl');
    expect(run(['audit', 'export', '--output', file]).status).toBe(0);
    const held = run(['audit', 'verify', file]);
    expect([held.status, held.stderr]).toEqual([0, '']);

    const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
    const write = (changed: readonly string[]): void => writeFileSync(file, `${changed.join('\n')}\n`);
    write(lines.map((line, i) => (i === 2 ? line.replace('"system"', '"person"') : line)));
    const altered = run(['audit', 'verify', file]);
    expect(altered.status).toBe(1);
    expect(altered.stderr).toContain('event 3');

    write(lines.toSpliced(1, 1));
    expect(run(['audit', 'verify', file]).status).toBe(1);
    write(['{"not":"an event"}']);
    expect(run(['audit', 'verify', file]).status).toBe(7);
    writeFileSync(file, '');
    expect(run(['audit', 'verify', file]).status).toBe(7);
    expect(run(['audit', 'verify', join(folder, 'absent')]).status).toBe(2);
  });
});

// Last: it kills and stops the server that the tests above use.
describe('up, stopped', () => {
  test('kill -9 loses nothing: the next start ends the agent left behind and goes on', async () => {
    const assets = json(['asset', 'list']);
    up.child.kill('SIGKILL');
    await up.ended;
    up = startUp();
    await until(up, 'Ctrl-C stops.');
    if (here) expect(up.output()).toContain('that an earlier start left behind');
    expect(up.output()).not.toContain('password');
    expect(json(['asset', 'list'])).toHaveLength(assets.length);
  }, 120_000);

  test('Ctrl-C stops the agent, the server and the database, in that order', async () => {
    up.child.kill('SIGINT');
    expect(await up.ended).toBe(0);
    const output = up.output();
    expect(output).toContain('The server and its database have stopped');
    if (here)
      expect(output.indexOf('The agent has stopped')).toBeLessThan(output.indexOf('The server and its'));
    expect(existsSync(join(data, 'server-url'))).toBe(false);
    expect(existsSync(join(data, 'agent/agent.lock'))).toBe(false);
    expect(existsSync(join(data, 'postgres/data/postmaster.pid'))).toBe(false);
  }, 30_000);
});
