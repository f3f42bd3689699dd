/**
 * Puts work together that arrives while other work is under way. Whoever comes to an idle server is served at once and
 * alone; under load each transaction takes what has come during the last one, and those that come in the few milliseconds
 * after it: a commit costs the same for one and for many.
 */
export interface GroupCommit<Item, Result> {
  run(item: Item): Promise<Result>;
}

export interface GroupCommitOptions<Item, Result> {
  /** Does all of it or throws, having done nothing. Results are parallel to the items. */
  readonly work: (items: readonly Item[]) => Promise<readonly Result[]>;
  /** Two items with one key are never in one group, and are done in the order in which they came. */
  readonly keyOf: (item: Item) => number;
  readonly mostItems: number;
  /** Groups under way at a time: while the database works for one, the next is prepared. */
  readonly mostGroups: number;
  /** So long the first of a group waits for others, while another group is under way. */
  readonly patienceMilliseconds: number;
}

interface Waiting<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export function groupCommit<Item, Result>(
  options: GroupCommitOptions<Item, Result>,
): GroupCommit<Item, Result> {
  const { work, keyOf, mostItems, mostGroups, patienceMilliseconds } = options;
  let waiting: Waiting<Item, Result>[] = [];
  let groups = 0;
  const busy = new Set<number>();

  let timer: NodeJS.Timeout | null = null;

  const next = (): void => {
    if (groups === 0 || waiting.length >= mostItems) {
      begin();
      return;
    }
    if (timer !== null || groups >= mostGroups || waiting.length === 0) return;
    timer = setTimeout(() => {
      timer = null;
      begin();
    }, patienceMilliseconds);
  };

  const begin = (): void => {
    while (groups < mostGroups && waiting.length > 0) {
      const group: Waiting<Item, Result>[] = [];
      const rest: Waiting<Item, Result>[] = [];
      // A key that is passed over here keeps its later items behind it.
      const taken = new Set<number>();
      for (const one of waiting) {
        const key = keyOf(one.item);
        if (group.length < mostItems && !busy.has(key) && !taken.has(key)) group.push(one);
        else rest.push(one);
        taken.add(key);
      }
      if (group.length === 0) return;
      waiting = rest;
      groups += 1;
      for (const one of group) busy.add(keyOf(one.item));
      void serve(group).finally(() => {
        for (const one of group) busy.delete(keyOf(one.item));
        groups -= 1;
        next();
      });
    }
  };

  const serve = async (group: readonly Waiting<Item, Result>[]): Promise<void> => {
    try {
      const results = await work(group.map((one) => one.item));
      group.forEach((one, i) => {
        const result = results[i];
        if (result === undefined) one.reject(new Error('a group has fewer results than items'));
        else one.resolve(result);
      });
    } catch (error) {
      const [first] = group;
      if (group.length === 1 && first !== undefined) {
        first.reject(error);
        return;
      }
      // One of them may be why; the others are done without it.
      for (const one of group) await serve([one]);
    }
  };

  return {
    run: (item) =>
      new Promise((resolve, reject) => {
        waiting.push({ item, resolve, reject });
        next();
      }),
  };
}
