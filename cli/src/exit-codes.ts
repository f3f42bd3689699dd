/** What the process tells its caller; documented in README.md. A number never changes its meaning. */
export const exitCodes = {
  ok: 0,
  /** What was asked to be checked is not so: findings with --fail-on, an audit trail that does not hold. */
  checkFailed: 1,
  usage: 2,
  /** The server understood and refused. */
  refused: 3,
  /** No server answered, or what answered is not a Fixpoint server. */
  unreachable: 4,
  /** No credentials, or credentials that the server does not take. */
  authentication: 5,
  /** A watched deployment ended, and not every task succeeded; or a followed task ended otherwise. */
  deploymentFailed: 6,
  /** The input cannot be judged: no dpkg status, an unknown release, a damaged file. */
  inputUnusable: 7,
  /** A fault of Fixpoint itself, or of the machine under it. */
  fault: 10,
  /** Ctrl-C, as shells count it. */
  interrupted: 130,
} as const;
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
