/** The only place of the agent that is random. */
export interface RandomSource {
  /** 0 ≤ fraction < 1 */
  fraction(): number;
}

export const systemRandom: RandomSource = { fraction: () => Math.random() };
