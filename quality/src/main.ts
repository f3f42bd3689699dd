/** `npm run quality`: judges the corpus and prints how right the product is; `-- --write-baseline` keeps the figures. */
import { writeFileSync } from 'node:fs';
import { readCorpus } from './case.ts';
import { baselineFile, classesOf, readBaseline, runCorpus, tableOf } from './run.ts';
import { baselineOf, objections } from './score.ts';

const asked = process.argv.slice(2);
const unknown = asked.filter((one) => one !== '--write-baseline');
if (unknown.length > 0) {
  console.error(`error: quality has no option ${unknown.join(' ')}`);
  console.error('what to do: npm run quality, or npm run quality -- --write-baseline');
  process.exitCode = 2;
} else {
  const corpus = readCorpus();
  const results = await runCorpus(corpus);
  console.log(`${tableOf(results)}\n\n${classesOf(corpus, results)}`);
  for (const { wrong } of results) for (const { sentence } of wrong) console.log(`\nwrong: ${sentence}`);
  if (asked.length > 0) {
    writeFileSync(baselineFile, `${JSON.stringify(baselineOf(results), null, 2)}\n`);
    console.log(`\nwritten: ${baselineFile}`);
  }
  const against = objections(results, readBaseline());
  for (const one of against) console.log(`\nagainst: ${one}`);
  process.exitCode = against.length > 0 ? 1 : 0;
}
