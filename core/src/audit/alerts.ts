/** The closed list of what a person is alerted to, with how bad it usually is, and what it says. */
export const alertKinds = {
  not_remediated: {
    severity: 'critical',
    about: 'A patch was installed, and the vulnerability is still on the host.',
  },
  verification_undetermined: {
    severity: 'warning',
    about: 'A patch was installed, and whether the vulnerability is gone could not be told.',
  },
  order_refused: {
    severity: 'critical',
    about:
      'A host does not obey an order: a warning where it was ours and unchanged, else perhaps an attack.',
  },
  task_stuck: {
    severity: 'warning',
    about: 'A task should have gone on by now; the message names what it waits for.',
  },
  asset_unreachable: {
    severity: 'warning',
    about: 'An asset stopped answering while a task was open on it, for longer than a reboot takes.',
  },
  run_not_started: {
    severity: 'warning',
    about: 'A scheduled job was due and could not be started; the message says why.',
  },
  reboot_not_back: {
    severity: 'critical',
    about: 'A host was let go on to its reboot and has not come back in the time that the job allows.',
  },
  rollback_began: {
    severity: 'warning',
    about: 'Earlier versions are being put back, because a task went wrong.',
  },
  rollback_not_possible: {
    severity: 'critical',
    about: 'Earlier versions should be put back, and there is nothing that could be.',
  },
  rollback_failed: {
    severity: 'critical',
    about: 'Earlier versions or files could not be put back: the host needs a person.',
  },
  distribution_poisoned: {
    severity: 'critical',
    about: 'A distribution point delivered a package that is not the one that the signed index names.',
  },
  inventory_shrank: {
    severity: 'warning',
    about: 'A host suddenly reports far fewer packages than before.',
  },
  feed_stale: { severity: 'warning', about: 'A feed has not been confirmed for longer than it should be.' },
  acceptance_expiring: { severity: 'info', about: 'The acceptance of a risk ends soon.' },
  acceptance_expired: {
    severity: 'warning',
    about: 'The acceptance of a risk has ended; critical when an exploited vulnerability is open again.',
  },
  audit_broken: {
    severity: 'critical',
    about: 'The audit trail is not intact: somebody changed or removed what was written.',
  },
} as const satisfies Readonly<
  Record<string, { readonly severity: 'info' | 'warning' | 'critical'; readonly about: string }>
>;
export type AlertKind = keyof typeof alertKinds;
