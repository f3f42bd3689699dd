import type { ExecutorStep } from './executor.ts';

/** What a step does, as the beginning of "… failed: …". */
export const stepTitles: Readonly<Record<ExecutorStep, string>> = {
  refresh: 'Reading the repositories',
  simulate: 'Trying the installation',
  download: 'Downloading',
  keep: 'Keeping what is there',
  install: 'Installing',
  configure: 'Repairing what was half installed',
  complete: 'Completing what was half installed',
  roll_back: 'Putting the earlier versions back',
};
