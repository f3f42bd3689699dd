import { redacted } from '../redact.ts';
import type { PolicyCommand } from '../policy.ts';
import { runCommand } from '../run-command.ts';
import type { Task } from './task.ts';

/**
 * Commands of the host's owner, as actions and probes: without a shell, as the user that the policy names, in `/`, with nothing
 * of the agent's environment: PATH, HOME, USER, LANG, LC_ALL, LANGUAGE, what the policy adds, and what task they serve.
 */

export interface OwnerCommand {
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  /** Values that must not leave the host. */
  readonly secrets: readonly string[];
}

const secretName = /PASS|SECRET|TOKEN|KEY|CREDENTIAL|AUTH/u;

/** A policy's command as it is to be run for a task; a sentence when its user is not there. */
export async function ownerCommand(
  command: PolicyCommand,
  task: Pick<Task, 'order'>,
  more: Readonly<Record<string, string>>,
): Promise<
  { readonly ok: true; readonly value: OwnerCommand } | { readonly ok: false; readonly message: string }
> {
  const account = command.user === null ? root : await readAccount(command.user);
  if (account === null)
    return { ok: false, message: `There is no user ${String(command.user)} on this host.` };
  // Already who it is to be, setpriv would only need rights that are not there.
  const become: readonly string[] =
    account.uid === process.getuid?.()
      ? []
      : ['setpriv', `--reuid=${account.name}`, `--regid=${String(account.gid)}`, '--init-groups', '--'];
  const [program = command.argv[0], ...args] = [...become, ...command.argv];
  return {
    ok: true,
    value: {
      argv: [program, ...args],
      env: {
        HOME: account.home,
        USER: account.name,
        LANG: 'C.UTF-8',
        ...command.environment,
        FIXPOINT_TASK_ID: task.order.task_id,
        FIXPOINT_DEPLOYMENT_ID: task.order.deployment_id,
        ...more,
      },
      secrets: Object.entries(command.environment).flatMap(([name, value]) =>
        secretName.test(name) ? [value] : [],
      ),
    },
  };
}

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

const root: Account = { name: 'root', uid: 0, gid: 0, home: '/root' };

/** As the host's own databases of users know it (`/etc/passwd`, LDAP). */
async function readAccount(name: string): Promise<Account | null> {
  const answer = await runCommand(['getent', 'passwd', name], { timeoutSeconds: 20 });
  const [found, , uid, gid, , home] = answer.stdout.trim().split(':');
  if (!answer.ok || found !== name || uid === undefined || gid === undefined) return null;
  return { name, uid: Number(uid), gid: Number(gid), home: home === undefined || home === '' ? '/' : home };
}

/** The last line that says something, as it may leave the host. */
export function lastLine(output: string, secrets: readonly string[], maximum = 300): string {
  const line =
    output
      .split('\n')
      .findLast((one) => one.trim() !== '')
      ?.trim() ?? '';
  const safe = secrets.reduce(
    (text, secret) => (secret === '' ? text : text.replaceAll(secret, redacted)),
    line,
  );
  return safe.slice(-maximum);
}
