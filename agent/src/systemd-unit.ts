import { chmodSync, copyFileSync, mkdirSync, renameSync } from 'node:fs';
import { AgentFailure } from './failure.ts';
import { runCommand } from './run-command.ts';
import { defaultStateDir, writeFileAtomically } from './state-dir.ts';

/** The systemd service of the agent. */

export const unitName = 'fixpoint-agent.service';
const unitPath = `/etc/systemd/system/${unitName}`;
const programPath = '/usr/local/bin/fixpoint-agent';

/**
 * The unit's text. `KillMode=process`: the package manager runs in this service's control group, and must outlive the agent,
 * also when the package that it installs restarts the agent. A daily restart bounds what a long-running process may leak.
 */
export function unitText(program: string, stateDir: string): string {
  const state = stateDir === defaultStateDir ? '' : ` --state ${stateDir}`;
  return `[Unit]
Description=Fixpoint agent: reports the inventory of this host and installs what is ordered
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=${program} run${state}
Restart=always
RestartSec=5
KillMode=process
RuntimeMaxSec=1d
UMask=0022
# An agent that dies with the memory of the host must not take an installation with it.
OOMPolicy=continue

[Install]
WantedBy=multi-user.target
`;
}

/** Puts this program and its unit in place, and starts it at every boot from now on. */
export async function installService(program: string, stateDir: string): Promise<void> {
  if (program !== programPath) {
    mkdirSync('/usr/local/bin', { recursive: true });
    // Under another name first: a running program's file cannot be written to.
    copyFileSync(program, `${programPath}.new`);
    chmodSync(`${programPath}.new`, 0o755);
    renameSync(`${programPath}.new`, programPath);
  }
  writeFileAtomically(unitPath, unitText(programPath, stateDir), 0o644);
  for (const argv of [
    ['systemctl', 'daemon-reload'],
    ['systemctl', 'enable', unitName],
    ['systemctl', 'restart', unitName],
  ] as const) {
    const answer = await runCommand(argv, { timeoutSeconds: 60 });
    if (!answer.ok) {
      throw new AgentFailure(
        'unit_not_installed',
        `the service could not be set up: ${answer.message}`,
        `The unit is at ${unitPath}; run \`systemctl enable --now ${unitName}\` on a host where systemd runs.`,
      );
    }
  }
}
