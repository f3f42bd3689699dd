import { existsSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { answerReboot, askForReboot, readReply } from './reboot-talk.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fixpoint-talk-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});
const answers = (name = ''): string => join(dir, 'reboot-answers', name);

// Only root's answers count without a session, and these tests are run by others too.
describe.skipIf(process.getuid?.() !== 0)('answers to the announcement of a reboot', () => {
  test('count once they are asked for, and until it is asked anew', () => {
    expect(answerReboot('now', '1', dir)).toBe('not_asked');
    askForReboot('task', dir);
    expect(readReply('task', dir)).toBeNull();
    expect(answerReboot('now', '1', dir)).toBe('given');
    expect(readReply('task', dir)).toEqual({ answer: 'now', user: 'root' });
    expect(answerReboot('later', '2', dir)).toBe('given');
    expect(readReply('task', dir)?.answer).toBe('later');
    expect(readReply('another task', dir)).toBeNull();
    askForReboot('task', dir);
    expect(readReply('task', dir)).toBeNull();
  });

  test('that are links to what belongs to somebody else, or folders, do not', () => {
    askForReboot('task', dir);
    writeFileSync(join(dir, 'of-root'), '');
    linkSync(join(dir, 'of-root'), answers('now.1'));
    symlinkSync(join(dir, 'of-root'), answers('now.2'));
    mkdirSync(answers('now.3'));
    expect(readReply('task', dir)).toBeNull();
  });

  test('are taken away name by name: nothing is followed into folders and links', () => {
    askForReboot('task', dir);
    mkdirSync(join(dir, 'elsewhere'));
    writeFileSync(join(dir, 'elsewhere', 'kept'), '');
    symlinkSync(join(dir, 'elsewhere'), answers('later.1'));
    mkdirSync(answers('later.2'));
    writeFileSync(answers('later.2/inside'), '');
    askForReboot('task', dir);
    expect(existsSync(answers('later.1'))).toBe(false);
    expect(existsSync(answers('later.2/inside'))).toBe(true);
    expect(existsSync(join(dir, 'elsewhere', 'kept'))).toBe(true);
  });
});
