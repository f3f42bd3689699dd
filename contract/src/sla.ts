import { Type, type Static } from 'typebox';
import { oneOf } from './enum.ts';
import { QueryText } from './search.ts';

/** By when findings are due, by rules of which the first that fits counts (docs/sla.md). */

const closed = { additionalProperties: false } as const;
const time = Type.String({ format: 'date-time' });
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const count = Type.Integer({ minimum: 0 });

export const slaLimits = { rules: 100, soon_days: 7 } as const;

export const SlaRule = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200, pattern: '\\S' }),
    /** What is not named does not matter; what is named must all hold. */
    when: Type.Object(
      {
        criticality_at_least: Type.Optional(Type.Integer({ minimum: 1, maximum: 5 })),
        exploited: Type.Optional(Type.Boolean()),
        /** 0–100 */
        score_at_least: Type.Optional(Type.Number()),
        score_below: Type.Optional(Type.Number()),
        /** The asset is in one of these. */
        any_tag: Type.Optional(Type.Array(Type.String({ maxLength: 63 }), { maxItems: 50 })),
      },
      closed,
    ),
    /** More than 0; may be a fraction. */
    days: Type.Number(),
    /** Whether an earlier date of CISA's KEV catalogue counts; without it, it does not. */
    kev_due_date: Type.Optional(oneOf(['if_earlier', 'ignored'] as const)),
    /** What days there are when a finding that was fixed comes back; without it those that were left. */
    reopened: Type.Optional(oneOf(['without_time_fixed', 'from_first_seen', 'from_reopening'] as const)),
  },
  closed,
);
export type SlaRule = Static<typeof SlaRule>;

/** GET and PUT /api/v1/sla-rules: the whole list in its order. */
export const SlaRules = Type.Object(
  {
    /** Of the list as it is; to be sent back with a change. */
    version: Type.String(),
    rules: Type.Array(SlaRule),
    /** What could be saved where there are no rules yet. It is not in force. */
    suggestion: orNull(Type.Array(SlaRule)),
  },
  closed,
);
export type SlaRules = Static<typeof SlaRules>;
/** `version`: of the list that was read. 409 when somebody has saved another since. */
export const SlaRulesRequest = Type.Object(
  { version: Type.String({ maxLength: 64 }), rules: Type.Array(SlaRule, { maxItems: slaLimits.rules }) },
  closed,
);
export type SlaRulesRequest = Static<typeof SlaRulesRequest>;

/** GET /api/v1/sla?query=: findings that are not fixed, by rule; the query is one over findings. */
export const SlaQuery = Type.Object({ query: Type.Optional(QueryText) }, closed);
const numbers = {
  /** Due, and in time; of these those that are due within 7 days. */
  in_time: count,
  due_soon: count,
  overdue: count,
  /** Accepted: no time runs. */
  paused: count,
};
export const SlaStatus = Type.Object(
  {
    findings: count,
    rules: Type.Array(
      Type.Object({ rule: Type.String(), days: Type.Number(), ...numbers, sentence: Type.String() }, closed),
    ),
    total: Type.Object(numbers, closed),
    /** No rule fits. */
    no_rule: count,
    /** Which rule fits is not known. */
    undetermined: count,
    /** Of more than 5,000 assets as many are looked at, and stand for all: then the numbers are estimates. */
    sampled: orNull(Type.Object({ assets: count, of: count }, closed)),
    sentence: Type.String(),
    as_of: time,
  },
  closed,
);
export type SlaStatus = Static<typeof SlaStatus>;
