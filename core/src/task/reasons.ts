import type { OrderRefusal, TaskFailure } from './states.ts';

/** What a person reads about a failed or refused task: what happened, and what to do about it. */
export interface Explanation {
  readonly message: string;
  readonly whatToDo: string;
}

const failures: Readonly<Record<TaskFailure, Explanation>> = {
  not_remediated: {
    message: 'The installer reported success, but the vulnerability is still on the host.',
    whatToDo:
      'Look at the evidence of the task: it names what is still vulnerable and where. Repair the host or the package, then retry.',
  },
  order_refused: {
    message: 'The host refused the order.',
    whatToDo:
      'See the reason that the host gave. If nobody changed keys, policy or clock there, treat it as a security event.',
  },
  plan_differs: {
    message: 'The package manager would do something other than the plan says, so nothing was installed.',
    whatToDo:
      'See which other packages it would change, then start the job again for a new plan that includes them.',
  },
  version_not_available: {
    message: 'A version of the plan is no longer offered by the repositories of the host.',
    whatToDo: 'Start the job again: a new plan takes the version that is offered now.',
  },
  download_failed: {
    message: 'A package could not be downloaded completely.',
    whatToDo: 'Check the network and the distribution point, then retry the failed tasks.',
  },
  hash_mismatch: {
    message:
      'A downloaded package is not the one that the signed repository index names. Nothing was installed.',
    whatToDo: 'Find out which mirror or cache delivered it before anything else; then retry.',
  },
  disk_full: {
    message: 'There is not enough free space on the host.',
    whatToDo: 'Free space on the file system that the task names, then retry.',
  },
  lock_held: {
    message: 'Another program held the lock of the package manager for too long.',
    whatToDo:
      'Let the program that the task names end (often unattended-upgrades, or a person at the host), then retry.',
  },
  repository_unreachable: {
    message: 'The host could not reach its repositories.',
    whatToDo: 'Check the distribution point and the upstream repositories, then retry.',
  },
  signature_invalid: {
    message: 'A repository is not signed by a key that the host trusts. Nothing was installed.',
    whatToDo: 'Check the repository and its key on the host. Do not bypass the check.',
  },
  dependency_conflict: {
    message: 'The versions of the plan cannot be installed together on this host.',
    whatToDo:
      'See the output of the package manager; resolve the conflict on the host or take the asset out of the target.',
  },
  maintainer_script_failed: {
    message: 'A script of a package failed during installation.',
    whatToDo:
      'See the output of the package manager, repair the package on the host (dpkg --configure -a), then retry.',
  },
  timeout: {
    message: 'The installation did not finish in the time that the job allows.',
    whatToDo:
      'See where it stood still. If the host is only slow, raise install_timeout_seconds of the job, then retry.',
  },
  restart_failed: {
    message: 'A service did not come up again after its restart.',
    whatToDo: 'Look at the service on the host (systemctl status, journalctl -u), repair it, then retry.',
  },
  mitigation_failed: {
    message:
      'A mitigation could not be carried out, or not be taken back; what was changed for it has been restored as far as it could be.',
    whatToDo:
      'See the message of the host: it names the setting, file or service. Correct it there or take the asset out of the target, then retry.',
  },
  action_failed: {
    message: 'An action that the job asks for before or after the installation failed.',
    whatToDo: 'See its output in the log of the task; correct the command on the host, then retry.',
  },
  health_failed: {
    message: 'After the installation the host is not as well as it was before.',
    whatToDo:
      'See which units and probes failed. Repair the host, or roll the task back if packages were kept.',
  },
  host_policy: {
    message: 'The policy on the host forbids a step of this task.',
    whatToDo: 'See the message of the host; change the policy there or take the asset out of the target.',
  },
  clock_skew: {
    message:
      'The clock of the host differs from the clock of the server, so that nobody can tell whether its window is open.',
    whatToDo: 'Set the clock of the host (timedatectl), then retry.',
  },
  reboot_refused: {
    message: 'The host did not let itself be rebooted.',
    whatToDo:
      'See what holds it off (systemd-inhibit --list, the policy of the host), then reboot it by hand or retry.',
  },
  reboot_failed: {
    message: 'The host was told to reboot and did not.',
    whatToDo: 'Look at the host (systemctl list-jobs) and reboot it by hand; then retry.',
  },
  snapshot_failed: {
    message: 'A snapshot of the file system could not be made, so nothing was installed.',
    whatToDo:
      'Look at the free space of the file system or volume group, or let the job keep packages instead.',
  },
  nothing_to_roll_back_to: {
    message:
      'The job must be able to be rolled back, and what is installed on the host now could not be kept, so nothing was installed.',
    whatToDo:
      'See which packages are offered by no repository any more. Let the job go without rollback on this host, or offer their versions in a repository, then retry.',
  },
  rollback_failed: {
    message: 'The packages or files that were there before could not be put back.',
    whatToDo:
      'See the output: it names what could not be restored. Repair the host by hand; the kept packages are in the state folder of the agent.',
  },
  package_manager_broken: {
    message: 'The package manager of the host is in an inconsistent state that the agent could not repair.',
    whatToDo: 'Run dpkg --audit and apt-get check on the host, repair what they name, then retry.',
  },
  agent_error: {
    message: 'The agent met an error of its own.',
    whatToDo: 'See the message of the task and the log of the agent; please report it as a bug.',
  },
};

const refusals: Readonly<Record<OrderRefusal, Explanation>> = {
  signature_invalid: {
    message: 'The signature of the order is not valid.',
    whatToDo:
      'Somebody or something between server and host changed the order, or the server signs with another key. Find out which.',
  },
  key_unknown: {
    message: 'The order is signed by a key that this host does not know.',
    whatToDo:
      'If the key of the server was replaced on purpose, enrol the host again; otherwise treat it as a security event.',
  },
  malformed: {
    message: 'The order could not be read.',
    whatToDo: 'Compare the versions of agent and server; update the older one.',
  },
  other_asset: {
    message: 'The order is for another host.',
    whatToDo:
      'If this host is a clone of another one, enrol it afresh: two hosts must not share one identity.',
  },
  expired: {
    message: 'The order had expired when it reached the host.',
    whatToDo: 'Check the clocks of host and server, then retry the failed tasks.',
  },
  issued_in_future: {
    message: 'By the clock of the host, the order comes from the future.',
    whatToDo: 'Check the clocks of host and server (timedatectl), then retry.',
  },
  replayed: {
    message: 'The host has already obeyed an order with this number or a later one.',
    whatToDo: 'If the server was restored from a backup, retry; otherwise treat it as a security event.',
  },
  assess_only: {
    message: 'The host reports only; whoever enrolled it did not allow installations.',
    whatToDo: 'Enrol it in manage mode on the host itself, or take it out of the target.',
  },
  versions_differ: {
    message: 'What is installed on the host is no longer what the plan was made for.',
    whatToDo: 'Start the job again: a new plan is made from the present inventory.',
  },
  downgrade: {
    message: 'The order would install something older than what is there.',
    whatToDo: 'Start the job again for a new plan. The host never downgrades by an install order.',
  },
  host_policy: {
    message: 'The policy on the host forbids this order.',
    whatToDo: 'See the message of the host; change the policy there or take the asset out of the target.',
  },
  nothing_kept: {
    message: 'The host has not kept what the order wants to be put back.',
    whatToDo: 'Put the earlier versions back by a job of their own, or by hand.',
  },
  not_awaited: {
    message: 'The order goes on with a task that does not wait for it on the host.',
    whatToDo: 'Look at the task on the host (fixpoint-agent status); it goes its own way there.',
  },
};

export function explainFailure(failure: TaskFailure): Explanation {
  return failures[failure];
}

export function explainRefusal(refusal: OrderRefusal): Explanation {
  return refusals[refusal];
}

/** Why a task is where it is, as stored and shown: `{ code, message, what_to_do }`. */
export interface TaskReason {
  readonly code: string;
  readonly message: string;
  readonly what_to_do: string;
}

/** The stored reason of a failed task; `detail` (the agent's own sentence) follows the general one. */
export function failureReason(failure: TaskFailure, detail?: string): TaskReason {
  const explanation = explainFailure(failure);
  return {
    code: failure,
    message: detail === undefined || detail === '' ? explanation.message : `${explanation.message} ${detail}`,
    what_to_do: explanation.whatToDo,
  };
}

/** The stored reason of a task whose order the host refused: code `order_refused`, words of the refusal. */
export function refusalReason(refusal: OrderRefusal, detail: string): TaskReason {
  const explanation = explainRefusal(refusal);
  return {
    code: 'order_refused',
    message: `The host refused the order (${refusal}): ${explanation.message}${detail === '' ? '' : ` ${detail}`}`,
    what_to_do: explanation.whatToDo,
  };
}
