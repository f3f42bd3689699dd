import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';

/**
 * The JSON form of MSRC's CVRF documents, `https://api.msrc.microsoft.com/cvrf/v3.0/cvrf/2024-Jul` with `Accept:
 * application/json`, as far as it is read. Types are numbers there; their meaning is in README.md.
 */

const text = Type.String();
const maybe = Type.Optional;
/** `{"Value": "…"}`; the value is left out where it is empty. */
const value = Type.Object({ Value: maybe(Type.Union([text, Type.Null()])) });
const products = maybe(Type.Union([Type.Array(text), Type.Null()]));
const date = maybe(Type.Union([text, Type.Null()]));
const word = maybe(Type.Union([text, Type.Null()]));

const Remediation = Type.Object({
  Type: Type.Integer(),
  Description: maybe(Type.Union([value, Type.Null()])),
  URL: word,
  Supercedence: word,
  ProductID: products,
  SubType: word,
  FixedBuild: word,
  RestartRequired: maybe(Type.Union([value, Type.Null()])),
});
export type RemediationJson = Static<typeof Remediation>;

const Vulnerability = Type.Object({
  CVE: text,
  Title: maybe(Type.Union([value, Type.Null()])),
  Notes: maybe(Type.Array(Type.Object({ Type: Type.Integer(), Title: word, Value: word }))),
  /** The type may be left out; all real ones are 3, "Known Affected". */
  ProductStatuses: maybe(Type.Array(Type.Object({ Type: maybe(Type.Integer()), ProductID: products }))),
  Threats: maybe(
    Type.Array(
      Type.Object({
        Type: Type.Integer(),
        Description: maybe(Type.Union([value, Type.Null()])),
        ProductID: products,
      }),
    ),
  ),
  CVSSScoreSets: maybe(Type.Array(Type.Object({ Vector: word, ProductID: products }))),
  /** Read one by one, so that one bad entry does not lose the others. */
  Remediations: maybe(Type.Array(Type.Unknown())),
  RevisionHistory: maybe(Type.Array(Type.Object({ Date: date }))),
});
export type VulnerabilityJson = Static<typeof Vulnerability>;

const Document = Type.Object({
  DocumentTitle: maybe(value),
  DocumentTracking: Type.Object({
    Identification: Type.Object({ ID: Type.Object({ Value: text }) }),
    InitialReleaseDate: text,
    CurrentReleaseDate: text,
  }),
  ProductTree: Type.Object({
    FullProductName: Type.Array(Type.Object({ ProductID: text, Value: text })),
  }),
  /** Read one by one, so that one bad entry does not lose a month. */
  Vulnerability: Type.Array(Type.Unknown()),
});
export type DocumentJson = Static<typeof Document>;

export const validDocument = Compile(Document);
export const validVulnerability = Compile(Vulnerability);
export const validRemediation = Compile(Remediation);

/** `https://api.msrc.microsoft.com/cvrf/v3.0/updates` */
export const validIndex = Compile(
  Type.Object({ value: Type.Array(Type.Object({ ID: text, CurrentReleaseDate: text })) }),
);
