import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';

const texts = Type.Optional(Type.Array(Type.String()));
const severities = Type.Optional(Type.Array(Type.Object({ type: Type.String(), score: Type.String() })));

const OsvAffected = Type.Object({
  // Git ranges of the upstream come with an empty package.
  package: Type.Optional(
    Type.Object({
      ecosystem: Type.Optional(Type.String()),
      name: Type.Optional(Type.String({ minLength: 1 })),
      purl: Type.Optional(Type.String()),
    }),
  ),
  ranges: Type.Optional(
    Type.Array(
      Type.Object({ type: Type.String(), events: Type.Array(Type.Record(Type.String(), Type.String())) }),
    ),
  ),
  ecosystem_specific: Type.Optional(
    Type.Union([
      Type.Null(),
      Type.Object({
        /** Debian */
        urgency: Type.Optional(Type.String()),
        /** Ubuntu */
        priority_reason: Type.Optional(Type.String()),
      }),
    ]),
  ),
  database_specific: Type.Optional(
    Type.Union([
      Type.Null(),
      Type.Object({
        /** Ubuntu's notices: which of their CVEs concern this package in this release. */
        cves_map: Type.Optional(
          Type.Object({
            cves: Type.Optional(Type.Array(Type.Object({ id: Type.String(), severity: severities }))),
          }),
        ),
      }),
    ]),
  ),
});
export type OsvAffected = Static<typeof OsvAffected>;

/** The parts of OSV 1.x (https://ossf.github.io/osv-schema/, up to 1.7) that are read; everything else may be there. */
const OsvRecord = Type.Object({
  id: Type.String({ minLength: 1 }),
  modified: Type.String(),
  published: Type.Optional(Type.String()),
  withdrawn: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  aliases: texts,
  related: texts,
  upstream: texts,
  summary: Type.Optional(Type.String()),
  details: Type.Optional(Type.String()),
  severity: severities,
  affected: Type.Optional(Type.Array(OsvAffected)),
  references: Type.Optional(
    Type.Array(Type.Object({ type: Type.Optional(Type.String()), url: Type.String() })),
  ),
});
export type OsvRecord = Static<typeof OsvRecord>;

export const validOsv = Compile(OsvRecord);

/** The id of what is not a record as a whole, if it has one. */
export function idOf(value: unknown): string | null {
  return typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string'
    ? value.id
    : null;
}
