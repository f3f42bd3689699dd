/** For tests only: a fleet of plain records that answers every question asset by asset, as slowly and as simply as can be. */
import { compile, not, recordOf, type PlainRecord, type QueryRecord, type Truth } from '../query/evaluate.ts';
import type { Plan } from '../query/plan.ts';
import type { CompareNode } from '../query/query.ts';
import type { Criticality } from '../risk/asset-risk.ts';
import { tagsAsked } from '../tag/dependencies.ts';
import { assetSet, type ReadonlyAssetSet } from './asset-set.ts';
import type { AssetTruths } from './evaluate-tag.ts';
import type { FleetReading, Truths } from './reading.ts';
import { Rules } from './rules.ts';

export interface NaiveAsset {
  retired: boolean;
  criticalitySet: Criticality | null;
  /** Its facts but for tags, criticality and risk. */
  plain: PlainRecord;
  /** Its risk is this times its criticality. */
  danger: number;
}

export class NaiveFleet {
  readonly rules: Rules;
  readonly table = new Map<number, NaiveAsset>();
  /** What its risk was last worked out to be: only between the two halves, as the fleet does. */
  readonly risks = new Map<number, number>();
  now: number;
  constructor(now: number) {
    this.now = now;
    this.rules = new Rules(naiveTruths);
  }

  get live(): ReadonlyAssetSet {
    return assetSet([...this.table].filter(([, { retired }]) => !retired).map(([id]) => id));
  }

  workOutRisks(): void {
    for (const [id, { danger }] of this.table) this.risks.set(id, danger * this.criticality(id).level);
  }

  record(id: number, withJudged: boolean): QueryRecord {
    const { plain } = this.asset(id);
    if (!withJudged) return recordOf(plain);
    const criticality = this.criticality(id).level;
    return recordOf({ ...plain, criticality, risk: this.risks.get(id) ?? null });
  }

  asset(id: number): NaiveAsset {
    const found = this.table.get(id);
    if (found === undefined) throw new Error(`no asset ${id}`);
    return found;
  }

  private criticality(id: number): ReturnType<FleetReading['criticality']> {
    const assets = { criticalitySet: (one: number) => this.asset(one).criticalitySet };
    return this.rules.criticality({ assets }, id);
  }

  /** What rules read of a fleet; the rest is not there. */
  get reading(): FleetReading {
    const fleet = this.parts();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return fleet as unknown as FleetReading;
  }

  private parts() {
    return {
      assets: {
        live: this.live,
        criticalitySet: (id: number) => this.asset(id).criticalitySet,
        truths: (
          field: string,
          key: string | null,
          condition: never,
          now: number,
          within: ReadonlyAssetSet,
        ) => {
          // Not stored, as in the fleet.
          if (['criticality', 'risk', 'open_findings', 'tag'].includes(field)) return null;
          return divide(within, (id) =>
            compile(
              {
                subject: 'asset',
                root: { kind: 'compare', scope: 'asset', field, key, condition, at: 0, length: 0 },
              },
              now,
            )(this.record(id, true)),
          );
        },
      },
      tags: this.rules.graph,
      tag: (name: string) => this.rules.tag(name),
      tagsOf: (id: number) => this.rules.tagsOf(id),
      criticality: (id: number) => this.criticality(id),
      assetRecord: (id: number) => this.record(id, true),
    };
  }
}

function divide(within: ReadonlyAssetSet, ask: (id: number) => Truth): Truths {
  const [holds, fails] = [assetSet(), assetSet()];
  for (const id of within) {
    const truth = ask(id);
    if (truth !== null) (truth ? holds : fails).add(id);
  }
  return { holds, fails };
}

export const naiveTruths: AssetTruths = (fleet, plan, now, within) => {
  const asked = new Map<string, readonly (Truths | null)[]>();
  const tagsOf = (node: CompareNode, key: string): readonly (Truths | null)[] => {
    const known = asked.get(key);
    if (known !== undefined) return known;
    const found = tagsAsked(node, fleet.tags.order).map((name) => fleet.tag(name));
    asked.set(key, found);
    return found;
  };
  return divide(within, (id) => truthOf(tagsOf, plan, now, id, fleet.assetRecord(id, now)));
};

type TagsOf = (node: CompareNode, key: string) => readonly (Truths | null)[];

function truthOf(tagsOf: TagsOf, part: Plan, now: number, id: number, record: QueryRecord): Truth {
  switch (part.kind) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'and':
    case 'or':
      return join(
        part.kind === 'or',
        part.parts.map((each) => truthOf(tagsOf, each, now, id, record)),
      );
    case 'leaf': {
      const { field, condition, scope, key } = part.predicate;
      const node: CompareNode = { kind: 'compare', scope, field, key, condition, at: 0, length: 0 };
      let truth: Truth;
      if (field === 'tag') {
        const asked = tagsOf(node, part.key).map((truths) => {
          return truths?.holds.has(id) === true ? true : truths?.fails.has(id) === true ? false : null;
        });
        truth = join(true, asked);
      } else truth = compile({ subject: 'asset', root: node }, now)(record);
      return part.holds ? truth : not(truth);
    }
    case 'some':
    case 'every': {
      const related = record.related(part.relation);
      if (related === null) return null;
      return join(
        part.kind === 'some',
        related.map((each) => (each === null ? null : truthOf(tagsOf, part.where, now, id, each))),
      );
    }
    default:
      return part satisfies never;
  }
}

function join(decisive: boolean, truths: readonly Truth[]): Truth {
  if (truths.includes(decisive)) return decisive;
  return truths.includes(null) ? null : !decisive;
}
