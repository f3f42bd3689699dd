import { runCommand } from './run-command.ts';

export type RebootStart = { readonly ok: true } | { readonly ok: false; readonly message: string };

/** Asks systemd for a reboot; inhibitors (systemd-inhibit) that block it are heeded, and named. */
export async function startReboot(): Promise<RebootStart> {
  const answer = await runCommand(['systemctl', 'reboot', '--no-ask-password', '--check-inhibitors=yes'], {
    timeoutSeconds: 60,
  });
  return answer.ok ? { ok: true } : { ok: false, message: answer.message.slice(0, 800) };
}
