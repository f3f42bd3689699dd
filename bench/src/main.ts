/** `npm run bench -- <suite>`: measurements with their work sizes, and the targets beside. */
import { cpus, release } from 'node:os';

const suites: Readonly<Record<string, () => Promise<() => Promise<void>>>> = {
  match: async () => (await import('./match.ts')).benchMatch,
  scan: async () => (await import('./scan.ts')).benchScan,
  posture: async () => (await import('./posture/posture.ts')).benchPosture,
  knowledge: async () => (await import('./knowledge.ts')).benchKnowledge,
};

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(suites, name));
if (asked.length === 0 || unknown.length > 0) {
  console.error(
    unknown.length > 0 ? `error: there is no suite ${unknown.join(', ')}` : 'error: no suite was named',
  );
  console.error(`what to do: npm run bench -- ${Object.keys(suites).join(' | ')}`);
  process.exitCode = 2;
} else {
  const [cpu] = cpus();
  console.log(
    `Node ${process.versions.node}, Linux ${release()}, ${String(cpus().length)} × ${cpu?.model.trim() ?? 'unknown processor'}`,
  );
  for (const name of asked) {
    const load = suites[name];
    if (load !== undefined) await (await load())();
  }
}
