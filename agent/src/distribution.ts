import { TicketResponse } from '@fixpoint/contract/distribution.ts';
import type { CheckInResponse, TaskEvent } from '@fixpoint/contract/agent.ts';
import type { TaskFailure } from '@fixpoint/core/task/states.ts';
import type { Clock } from './clock.ts';
import type { DistributionPoint } from './execute/executor.ts';
import { answersAt } from './http-client.ts';
import type { Log } from './log.ts';
import { renewBeforeSeconds, type Session } from './session.ts';

/**
 * Through which distribution point packages come. None is trusted: the package manager checks signatures and hashes. One near
 * the host is used while it answers; else the server's own; and where that one has delivered something forged, the host's
 * own way to its repositories.
 */
export interface Distribution {
  /** What the last check-in was answered with; undefined: packages come from the server itself. */
  heard(point: CheckInResponse['distribution_point']): void;
  /**
   * Where to load from now; `avoided`: points that did not do for a task (null: the server's own). Throws AgentFailure when the
   * server cannot be reached for credentials.
   */
  choose(avoided: ReadonlySet<string | null>): Promise<DistributionPoint>;
}

export interface DistributionParts {
  readonly session: Session;
  readonly clock: Clock;
  readonly log: Log;
  /** As enrolled. */
  readonly serverUrl: string;
  readonly assetId: string;
  /** Whether something answers there in time; another one for tests. */
  readonly answers?: typeof answersAt;
}

/** A point that has not answered after this is passed over. */
const answerSeconds = 3;
/** That it answers, or does not, is believed for so long. */
const believedSeconds = 20;
const passedOverSeconds = 120;

export function createDistribution(parts: DistributionParts): Distribution {
  const { session, clock, log } = parts;
  const answers = parts.answers ?? answersAt;
  let point: { readonly url: string; readonly name: string } | null = null;
  let looked: { readonly url: string; readonly answered: boolean; readonly until: number } | null = null;
  let held: { readonly name: string; readonly ticket: string; readonly until: number } | null = null;

  async function isThere(url: string, name: string): Promise<boolean> {
    const now = clock.elapsedSeconds();
    if (looked?.url === url && now < looked.until) return looked.answered;
    const answered = await answers(`${url}/point/v1/health`, answerSeconds);
    if (!answered) {
      log('warn', 'the distribution point does not answer; packages come from the server', {
        point: name,
        url,
      });
    }
    const seconds = answered ? believedSeconds : passedOverSeconds;
    looked = { url, answered, until: clock.elapsedSeconds() + seconds };
    return answered;
  }

  /** Null when the server gives none: the point may just have been removed. */
  async function ticketFor(name: string): Promise<string | null> {
    if (held?.name === name && clock.elapsedSeconds() < held.until) return held.ticket;
    const answer = await session.call('/agent/v1/distribution-ticket', { point: name }, TicketResponse);
    if (!answer.ok) {
      log('warn', 'the server gives no ticket for the distribution point', {
        point: name,
        reason: answer.message,
      });
      return null;
    }
    const life = Math.max(0, (Date.parse(answer.value.expires_at) - clock.now()) / 1000);
    const good = Math.max(life / 2, life - renewBeforeSeconds);
    held = { name, ticket: answer.value.ticket, until: clock.elapsedSeconds() + good };
    return held.ticket;
  }

  return {
    heard(told) {
      point = told ?? null;
    },
    async choose(avoided) {
      const { assetId: user } = parts;
      const near = point;
      if (near !== null && !avoided.has(near.name) && (await isThere(near.url, near.name))) {
        const password = await ticketFor(near.name);
        if (password !== null) return { url: near.url, user, password, name: near.name };
      }
      const password = await session.token();
      const direct = avoided.has(null);
      return { url: new URL(parts.serverUrl).origin, user, password, ...(direct ? { direct } : {}) };
    },
  };
}

type Told = NonNullable<NonNullable<TaskEvent['detail']>['distribution']>;

/** `timeout`: a point may answer and send next to nothing for ever, which no package manager gives up for. */
const missedFailures: ReadonlySet<TaskFailure> = new Set([
  'repository_unreachable',
  'download_failed',
  'timeout',
]);

/**
 * What a failure says of the point that was loaded through, so that another one is tried; null: nothing. Of the server's own
 * only what it delivered counts, since whether it can be reached is known otherwise.
 */
export function blame(used: DistributionPoint, failure: TaskFailure, output: string): Told | null {
  if (used.direct === true) return null;
  const point = used.name ?? null;
  const files = filesNamed(output);
  if (failure === 'hash_mismatch') return { point, problem: failure, files };
  if (failure === 'signature_invalid') {
    if (isForged(output)) return { point, problem: failure, files };
  } else if (!missedFailures.has(failure)) return null;
  return point === null ? null : { point, problem: 'not_reached', files };
}

/** A key that the host lacks or that is over, and a repository that is not signed at all, are no sign of a forged file. */
function isForged(output: string): boolean {
  if (/BADSIG|[Ii]nvalid signature|[Bb]ad signature/u.test(output)) return true;
  return !/NO_PUBKEY|EXPKEYSIG|REVKEYSIG|The repository '[^']*' (?:is|does) no/u.test(output);
}

/** What a person reads about it. */
export function blameMessage(told: Told): string {
  const name =
    told.point === null ? "the server's distribution point" : `the distribution point ${told.point}`;
  const instead =
    told.point === null ? 'from the repositories themselves' : "from the server's distribution point";
  if (told.problem === 'not_reached') return `Nothing can be loaded through ${name}; it is tried ${instead}.`;
  const what = told.problem === 'hash_mismatch' ? 'a wrong hash' : 'no valid signature';
  return `What came through ${name} has ${what}, and was not installed; it is tried ${instead}.`;
}

/** Addresses in the lines of a package manager that complain of a file; of RPM packages, of which it tells no more, the names. */
export function filesNamed(output: string): string[] {
  const found = new Set<string>();
  for (const line of output.split('\n')) {
    if (!/fetch|GPG error|hash|checksum|sign|digest|mismatch|Problem opening|Curl error/iu.test(line))
      continue;
    const [, rpm] = line.includes('http://')
      ? []
      : (/(?:^|\s|\/)([\w.+~^-]{1,255}\.rpm)\b/u.exec(line) ?? []);
    if (rpm !== undefined && found.size < 20) found.add(rpm);
    for (const [address] of line.matchAll(/http:\/\/[^\s'"<>()[\]]+/gu)) {
      const url = address.replace(/[.,:;]+$/u, '');
      // apt says `http://HOST/debian SUITE InRelease` of what lies at dists/SUITE/InRelease
      const [, suite, name] =
        / (\S+) (InRelease|Release(?:\.gpg)?)\b/u.exec(line.slice(line.indexOf(address))) ?? [];
      const whole =
        suite === undefined || name === undefined || url.includes('/dists/')
          ? url
          : `${url.replace(/\/$/u, '')}/dists/${suite}/${name}`;
      // never one with credentials
      if (found.size < 20 && whole.length <= 1_000 && !whole.includes('@')) found.add(whole);
    }
  }
  return [...found];
}

/** The points that did not do for a task, as its journal tells: null is the server's own. */
export function avoidedBy(
  entries: readonly { readonly event?: { readonly detail?: TaskEvent['detail'] } }[],
): ReadonlySet<string | null> {
  const told = entries.map((entry) => entry.event?.detail?.distribution);
  return new Set(told.filter((one) => one !== undefined).map((one) => one.point));
}
