/**
 * What is asked of a large fleet, in memory and, for the ratio, of PostgreSQL by plain SQL over the same tables.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Pool } from 'pg';
import { overlap, union } from '@fixpoint/core/posture/asset-set.ts';
import type { FleetReading } from '@fixpoint/core/posture/reading.ts';
import { assetsInOrder, byRisk } from '@fixpoint/core/posture/select/order.ts';
import { atOnce } from '@fixpoint/core/posture/select/selection.ts';
import type { Posture } from '@fixpoint/server/posture/posture.ts';
import { summarise } from '@fixpoint/server/search/summary.ts';
import { grouped, median, repeat, report, spread } from '../statistics.ts';

const firstPage = { offset: 0, limit: 50 };
const target = (text: string, met: boolean) => ({ text, met });

/** The vulnerability on most assets, and the tag that most assets are in. */
export function largest(fleet: FleetReading): { vulnerability: number; tag: string } {
  let [vulnerability, most] = [0, -1];
  for (let index = 0; index < fleet.vulnerabilities; index++) {
    const { size } = fleet.affectedBy(index);
    if (size > most) [vulnerability, most] = [index, size];
  }
  let [tag, members] = ['', -1];
  for (const name of fleet.tags.order) {
    const size = fleet.tag(name)?.holds.size ?? 0;
    if (size > members) [tag, members] = [name, size];
  }
  return { vulnerability, tag };
}

async function sqlTimes(pool: Pool, text: string, values: unknown[], runs = 3): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await pool.query(text, values);
    times.push(performance.now() - start);
  }
  return median(times);
}

const ratio = (sql: number, memory: number): string =>
  `plain SQL ${grouped(sql)} ms, ${grouped(sql / memory)} × as long`;

export async function askQuestions(pool: Pool, posture: Posture): Promise<void> {
  const fleet = await posture.fresh();
  const { vulnerability, tag } = largest(fleet);
  const { id } = fleet.vulnerability(vulnerability);
  const affected = fleet.affectedBy(vulnerability);

  // The union itself, not what the fleet remembers of the one before.
  const pairs = fleet.pairsOfVulnerability(vulnerability);
  const blast = median(repeat(() => union(pairs.map((pair) => fleet.affected(pair))).size, 1));
  const carriers = `select software_id from software_verdict where vulnerability = $1`;
  const blastSql = await sqlTimes(
    pool,
    `select count(*) from asset where retired_at is null and software && array(${carriers})`,
    [id],
  );
  report(
    `blast radius of ${id}, ${grouped(affected.size)} assets`,
    `${blast.toFixed(2)} ms (${ratio(blastSql, blast)})`,
    target('< 5 ms', blast < 5),
  );

  const inTags = fleet.tags.order.map((name) => {
    const members = fleet.tag(name)?.holds;
    if (members === undefined) throw new Error('a tag without members');
    return median(repeat(() => overlap(fleet.affectedBy(vulnerability), members), 0.02));
  });
  report(
    `then within each of ${inTags.length} tags`,
    `median ${median(inTags).toFixed(2)} ms, of all ${spread(inTags, 2)} ms`,
    target('< 5 ms', Math.max(...inTags) < 5),
  );

  const page = median(
    repeat(() => atOnce(assetsInOrder(fleet, fleet.affectedBy(vulnerability), byRisk, firstPage)), 1),
  );
  const pageSql = await sqlTimes(
    pool,
    `with c as (select software_id, count(*) as n from software_verdict group by software_id)
     select a.id, sum(c.n) as findings from asset a cross join lateral unnest(a.software) as u(id) join c on c.software_id = u.id
     where a.retired_at is null and a.software && array(${carriers}) group by a.id order by 2 desc, 1 limit 50`,
    [id],
    1,
  );
  report(
    'then the first 50 of them by risk',
    `${page.toFixed(2)} ms (by number of findings, since SQL knows no risk: ${ratio(pageSql, page)})`,
    target('< 10 ms', page < 10),
  );

  await dashboard(pool, posture, tag);
}

/** The whole dashboard of a tag, and how long others had to wait meanwhile. */
async function dashboard(pool: Pool, posture: Posture, tag: string): Promise<void> {
  const size = (await posture.fresh()).tag(tag)?.holds.size ?? 0;
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const times: number[] = [];
  const once = () =>
    posture.run(function* (fleet) {
      const members = fleet.tag(tag)?.holds;
      if (members === undefined) throw new Error('the tag is gone');
      const totals = yield* fleet.totals(members);
      return yield* summarise(fleet, members, totals);
    });
  await once();
  delay.enable();
  for (let i = 0; i < 9; i++) {
    const start = performance.now();
    await once();
    times.push(performance.now() - start);
  }
  delay.disable();
  const own = median(times);
  const bySql = await sqlTimes(
    pool,
    `with x as (select unnest(software) as software_id from asset where retired_at is null),
       n as (select software_id, count(*) as assets from x group by software_id)
     select v.vulnerability, sum(n.assets) as findings, max(c.base_score) from n
       join software_verdict v on v.software_id = n.software_id left join cvss c on c.vulnerability = v.vulnerability
     group by v.vulnerability order by 2 desc limit 10`,
    [],
    1,
  );
  report(
    `dashboard of ${tag}, ${grouped(size)} assets`,
    `${own.toFixed(0)} ms (${spread(times)}; top vulnerabilities alone, of all assets: ${ratio(bySql, own)})`,
    target('< 300 ms', own < 300),
  );
  const longest = delay.max / 1e6;
  report(
    'others waited meanwhile at most',
    `${longest.toFixed(1)} ms (99 %: ${(delay.percentile(99) / 1e6).toFixed(1)} ms)`,
    target('never blocked', longest < 100),
  );
}

/** From the commit of a verdict against software that was clean until every reader sees it. */
export async function newVulnerability(pool: Pool, posture: Posture): Promise<void> {
  const fleet = await posture.fresh();
  const clean = [...fleet.allSoftware()]
    .filter(({ facts }) => facts.verdicts.length === 0)
    .toSorted((a, b) => b.installed.size - a.installed.size)
    .slice(0, 11);
  const times: number[] = [];
  let assets = 0;
  const settled = async () => {
    while (posture.state()?.risksSettled === false) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  for (const [i, { facts }] of clean.entries()) {
    await settled();
    const cve = `CVE-2026-${900_000 + i}`;
    await pool.query(
      `insert into software_verdict (software_id, vulnerability, verdict, fix_state, fixed_version, evidence, since)
       values ($1, $2, 'vulnerable', 'available', '9', '{"rule": "older_than_fixed_version", "sentence": "bench", "disagreements": []}', now())`,
      [facts.id, cve],
    );
    const start = performance.now();
    const seen = await posture.fresh();
    const index = seen.vulnerabilityCalled(cve);
    assets = index === null ? 0 : seen.affectedBy(index).size;
    if (assets === 0) throw new Error('the new vulnerability is not seen');
    times.push(performance.now() - start);
  }
  const own = median(times);
  report(
    `a new vulnerability of clean software seen, ${grouped(assets)} assets`,
    `${own.toFixed(1)} ms after its commit (${spread(times, 1)})`,
    target('< 50 ms', own < 50),
  );
  const start = performance.now();
  await settled();
  report('and the risk of all its assets worked out', `${(performance.now() - start).toFixed(0)} ms later`);
}
