import { readBootId } from './process.ts';
import { askForReboot, readReply, tellEverybody, whoIsLoggedIn, type RebootReply } from './reboot-talk.ts';
import { runCommand } from './run-command.ts';

export type RebootStart = { readonly ok: true } | { readonly ok: false; readonly message: string };

/** What a reboot needs of a host; handed to the step, so that tests do not reboot the machine that they run on. */
export interface RebootHost {
  bootId(): string;
  /** Names of the people who are logged in, each once. */
  whoIsLoggedIn(): readonly string[];
  /** Writes to every terminal. */
  tellEverybody(text: string): Promise<void>;
  /** From now on, and for this task, people may answer. */
  askForReboot(taskId: string): void;
  readReply(taskId: string): RebootReply | null;
  /** Asks systemd for a reboot; inhibitors (systemd-inhibit) that block it are heeded, and named. */
  start(): Promise<RebootStart>;
}

export const thisRebootHost: RebootHost = {
  bootId: readBootId,
  whoIsLoggedIn,
  tellEverybody,
  askForReboot: (taskId) => {
    askForReboot(taskId);
  },
  readReply: (taskId) => readReply(taskId),
  async start() {
    const answer = await runCommand(['systemctl', 'reboot', '--no-ask-password', '--check-inhibitors=yes'], {
      timeoutSeconds: 60,
    });
    return answer.ok ? { ok: true } : { ok: false, message: answer.message.slice(0, 800) };
  },
};
