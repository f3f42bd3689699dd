/** The choice of patches in a thread of its own: HiGHS and large fleets would hold up every request otherwise. */
import { parentPort, workerData } from 'node:worker_threads';
import { answerTo, type Question } from './best-choice.ts';

if (parentPort === null) throw new Error('best-worker.ts is started by best.ts');
const port = parentPort;
// What is handed over is what best.ts made; nobody else can start this.
// oxlint-disable-next-line typescript/no-unsafe-type-assertion
await answerTo(workerData as Question, (told) => port.postMessage(told));
port.close();
