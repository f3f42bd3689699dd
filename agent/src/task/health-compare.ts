import type { UnitHealth } from '../collect/unit-health.ts';
import type { EventDetail } from './context.ts';

/** What has become worse. Pure. */

export type ProbeState = 'ok' | 'failed' | 'refused' | 'unknown';
export interface ProbeResult {
  /** `tcp 127.0.0.1:443`, `unit_active nginx.service`. */
  readonly probe: string;
  readonly state: ProbeState;
  readonly message: string;
}

/** How the host was, or is. `units` is null where systemd cannot be asked, or was not to be. */
export interface HealthLook {
  readonly units: readonly UnitHealth[] | null;
  readonly probes: readonly ProbeResult[];
}

export type Health = NonNullable<EventDetail['health']>;
export interface HealthVerdict {
  readonly health: Health;
  /** What is worse than before, a sentence each; empty when nothing is. */
  readonly worse: readonly string[];
}

const listMaximum = 500;
/** Once may be how a service takes its new files; twice is a loop. */
const restartsOfLoop = 2;

/**
 * Compares two looks. What failed before is not held against the change, and what nobody can tell is said to be unknown.
 * @param ownUnit the agent itself, which may be restarting
 * @param unitsAsked whether units count at all
 */
export function compareLooks(
  before: HealthLook,
  after: HealthLook,
  ownUnit: string | null,
  unitsAsked: boolean,
): HealthVerdict {
  const worse: string[] = [];
  const probes: Health['probes'] = after.probes.map(({ probe, state, message }) => {
    const earlier = before.probes.find((one) => one.probe === probe)?.state ?? 'unknown';
    if (earlier === 'ok' && state === 'failed') worse.push(`${probe}: ${message}`);
    return { probe: probe.slice(0, 1_100), before: earlier, after: state, message: message.slice(0, 500) };
  });
  const failed: string[] = [];
  const gone: string[] = [];
  if (unitsAsked && (before.units === null || after.units === null)) {
    probes.push({
      probe: 'units',
      before: before.units === null ? 'unknown' : 'ok',
      after: after.units === null ? 'unknown' : 'ok',
      message: 'systemd could not be asked how its units are, so nobody can tell which of them fail.',
    });
  } else if (unitsAsked && before.units !== null && after.units !== null) {
    const now = new Map(after.units.map((unit) => [unit.name, unit]));
    const earlier = new Map(before.units.map((unit) => [unit.name, unit]));
    for (const unit of after.units) {
      const was = earlier.get(unit.name);
      if (unit.name === ownUnit || (was !== undefined && isIll(was))) continue;
      if (unit.active === 'failed') {
        failed.push(unit.name);
        worse.push(`${unit.name} has failed`);
      } else if (isLooping(was, unit)) {
        failed.push(unit.name);
        worse.push(`${unit.name} ends and is started again and again`);
      }
    }
    for (const unit of before.units) {
      if (!unit.lasting || unit.active !== 'active' || unit.name === ownUnit) continue;
      const is = now.get(unit.name)?.active;
      if (is === 'active' || is === 'reloading' || is === 'failed' || failed.includes(unit.name)) continue;
      gone.push(unit.name);
      worse.push(is === undefined ? `${unit.name} is not there any more` : `${unit.name} is ${is}`);
    }
  }
  return {
    health: {
      probes: probes.slice(0, 50),
      newly_failed_units: failed.slice(0, listMaximum),
      units_gone: gone.slice(0, listMaximum),
    },
    worse,
  };
}

function isIll(unit: UnitHealth): boolean {
  if (unit.active === 'failed' || unit.sub === 'auto-restart') return true;
  return unit.restarts >= restartsOfLoop && unit.young;
}

function isLooping(was: UnitHealth | undefined, unit: UnitHealth): boolean {
  // Whoever starts a unit sets its count back to 0: then all of it is new.
  const from = was === undefined || unit.restarts < was.restarts ? 0 : was.restarts;
  const grown = unit.restarts - from;
  return grown >= restartsOfLoop || (grown > 0 && unit.sub === 'auto-restart');
}
