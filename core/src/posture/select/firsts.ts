/** The first of many in an order, without putting all in order: a heap of as many as are wanted, the last of them on top. */
export class Firsts<Item> {
  readonly #most: number;
  readonly #before: (a: Item, b: Item) => boolean;
  readonly #heap: Item[] = [];

  /** `before`: whether one comes before another; of no two both ways. */
  constructor(most: number, before: (a: Item, b: Item) => boolean) {
    this.#most = most;
    this.#before = before;
  }

  /** The last of those that are held, once there are as many as are wanted; null: any other is one of the first. */
  get last(): Item | null {
    return this.#heap.length < this.#most ? null : (this.#heap[0] ?? null);
  }

  offer(item: Item): void {
    const heap = this.#heap;
    if (heap.length < this.#most) {
      heap.push(item);
      this.#rise(heap.length - 1);
      return;
    }
    const [last] = heap;
    if (last === undefined || !this.#before(item, last)) return;
    heap[0] = item;
    this.#sink();
  }

  /** All that are held, the first first. */
  inOrder(): Item[] {
    return this.#heap.toSorted((a, b) => (this.#before(a, b) ? -1 : this.#before(b, a) ? 1 : 0));
  }

  #rise(from: number): void {
    for (let child = from; child > 0;) {
      const parent = (child - 1) >> 1;
      if (!this.#isAbove(child, parent)) return;
      this.#swap(child, parent);
      child = parent;
    }
  }

  #sink(): void {
    for (let parent = 0; ;) {
      let top = parent;
      for (let child = 2 * parent + 1; child <= 2 * parent + 2; child++)
        if (child < this.#heap.length && this.#isAbove(child, top)) top = child;
      if (top === parent) return;
      this.#swap(parent, top);
      parent = top;
    }
  }

  /** What comes last is on top. */
  #isAbove(a: number, b: number): boolean {
    const [one, other] = [this.#heap[a], this.#heap[b]];
    return one !== undefined && other !== undefined && this.#before(other, one);
  }

  #swap(a: number, b: number): void {
    const [one, other] = [this.#heap[a], this.#heap[b]];
    if (one === undefined || other === undefined) return;
    this.#heap[a] = other;
    this.#heap[b] = one;
  }
}
