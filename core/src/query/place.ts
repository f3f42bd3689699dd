import type { Field, Scope } from './fields.ts';

/** What could be written at a place: completion's question to the parser. */
export type Place =
  | { readonly at: 'term'; readonly scope: Scope; readonly after: 'term' | 'nothing'; readonly open: boolean }
  | { readonly at: 'relation'; readonly scope: Scope }
  | { readonly at: 'operator'; readonly field: Field }
  | { readonly at: 'value'; readonly field: Field; readonly scope: Scope; readonly key: string | null };

/** Thrown inside the parser when it comes to the place that completion asks for. */
export class Arrived extends Error {
  readonly place: Place;
  constructor(place: Place) {
    super(place.at);
    this.place = place;
  }
}
