import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { codeOf } from './failure.ts';
import { runCommand } from './run-command.ts';

/**
 * How the agent and people on the host talk about a reboot. An announcement goes to every terminal (wall(1)). An answer is an
 * empty file in a folder that everybody may write to, and that everybody may remove only their own files from; who owns it
 * gave it. It counts when that person is logged in, or is root.
 */

const defaultFolder = '/run/fixpoint-agent';
const answersIn = (folder: string): string => join(folder, 'reboot-answers');
const answers = ['now', 'later'] as const;
export type RebootAnswer = (typeof answers)[number];

export interface RebootReply {
  readonly answer: RebootAnswer;
  readonly user: string;
}

/** One session of systemd-logind, of the `KEY=value` lines of /run/systemd/sessions/ID; null for one that is no person's. */
export function parseSession(text: string): { readonly uid: number; readonly user: string } | null {
  const value = (key: string): string | undefined => new RegExp(`^${key}=(.*)$`, 'mu').exec(text)?.[1];
  const uid = Number(value('UID'));
  if (value('CLASS') !== 'user' || !Number.isInteger(uid)) return null;
  if (value('STATE') === 'closing') return null;
  return { uid, user: value('USER') ?? String(uid) };
}

function sessions(): readonly { readonly uid: number; readonly user: string }[] {
  const root = '/run/systemd/sessions';
  try {
    return readdirSync(root)
      .filter((name) => !name.endsWith('.ref'))
      .flatMap((name) => parseSession(readFileSync(join(root, name), 'utf8')) ?? []);
  } catch {
    return [];
  }
}

/** Names of the people who are logged in, each once. */
export function whoIsLoggedIn(): string[] {
  return [...new Set(sessions().map((one) => one.user))].sort();
}

/** Writes to every terminal. That it cannot does not keep a reboot from happening. */
export async function tellEverybody(text: string): Promise<void> {
  await runCommand(['wall', '--nobanner', text], { timeoutSeconds: 20 });
}

/** Takes away what was answered before, and lets people answer. */
export function askForReboot(taskId: string, folder = defaultFolder): void {
  const answersFolder = answersIn(folder);
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  mkdirSync(answersFolder, { recursive: true });
  // Name by name, and into no folder that somebody made there: whoever owns it could exchange what lies in it for a link.
  for (const name of readdirSync(answersFolder)) {
    try {
      unlinkSync(join(answersFolder, name));
    } catch {
      // A folder, which is no answer.
    }
  }
  // Sticky: one's own answers only. Set apart from mkdir, which heeds the umask.
  chmodSync(answersFolder, 0o1733);
  writeFileSync(join(folder, 'reboot-asked'), taskId, { mode: 0o644 });
}

/** What was answered since it was asked; `later` counts before `now`. Null when nothing was, by nobody who may. */
export function readReply(taskId: string, folder = defaultFolder): RebootReply | null {
  const answersFolder = answersIn(folder);
  const people = new Map(sessions().map((one) => [one.uid, one.user]));
  people.set(0, people.get(0) ?? 'root');
  let names: string[];
  try {
    if (readFileSync(join(folder, 'reboot-asked'), 'utf8') !== taskId) return null;
    names = readdirSync(answersFolder);
  } catch {
    return null;
  }
  const given = names.flatMap((name): RebootReply[] => {
    const answer = answers.find((one) => name.startsWith(`${one}.`));
    // A symbolic link would be owned by who made it, and a folder is no answer; a file of two names may be somebody else's.
    const stats = lstatSync(join(answersFolder, name), { throwIfNoEntry: false });
    const user = stats?.isFile() === true && stats.nlink === 1 ? people.get(stats.uid) : undefined;
    return answer === undefined || user === undefined ? [] : [{ answer, user }];
  });
  return given.find((one) => one.answer === 'later') ?? given[0] ?? null;
}

export type AnswerGiven = 'given' | 'not_asked';

/** Gives an answer, as whoever runs this. */
export function answerReboot(answer: RebootAnswer, unique: string, folder = defaultFolder): AnswerGiven {
  const answersFolder = answersIn(folder);
  try {
    statSync(answersFolder);
    writeFileSync(join(answersFolder, `${answer}.${unique}`), '', { flag: 'wx' });
    return 'given';
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'not_asked';
    throw error;
  }
}
