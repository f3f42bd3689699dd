/** The states of a deployment. */
export const deploymentStates = [
  'draft',
  'awaiting_approval',
  'running',
  'paused',
  'completed',
  'halted',
  'cancelled',
] as const;
export type DeploymentState = (typeof deploymentStates)[number];

/** States in which nothing new is ever offered again (unless a person retries what failed). */
export const endedDeploymentStates = ['completed', 'halted', 'cancelled'] as const;

export function isEndedDeployment(state: DeploymentState): boolean {
  return (endedDeploymentStates as readonly DeploymentState[]).includes(state);
}
