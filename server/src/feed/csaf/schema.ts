import { Type, type Static, type TProperties, type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';

/**
 * The parts of a CSAF 2.0 document that are read. Source: OASIS "Common Security Advisory Framework Version 2.0", JSON
 * schema https://docs.oasis-open.org/csaf/csaf/v2.0/csaf_json_schema.json. Keys that are not read are not judged, and what
 * only describes (notes, references) is not required where the standard does not need it to make sense of the rest.
 */

const text = Type.String();
const id = Type.String({ minLength: 1 });
const ids = Type.Array(id);
const optional = <T extends TProperties>(properties: T) => Type.Partial(Type.Object(properties));
const maybe = <T extends TSchema>(schema: T) => Type.Optional(schema);

const Product = Type.Object({
  product_id: id,
  name: text,
  product_identification_helper: maybe(
    optional({
      cpe: text,
      purl: text,
      /** CSAF 2.1 writes a list; Red Hat's generator has used both. */
      purls: Type.Array(text),
    }),
  ),
});
export type ProductJson = Static<typeof Product>;

const Branch = Type.Object({
  category: text,
  name: text,
  product: maybe(Product),
  /** Read branch by branch, so that the depth can be limited. */
  branches: maybe(Type.Array(Type.Unknown())),
});

const Relationship = Type.Object({
  category: text,
  full_product_name: Product,
  product_reference: id,
  relates_to_product_reference: id,
});
export type RelationshipJson = Static<typeof Relationship>;

const ProductGroup = Type.Object({ group_id: id, product_ids: ids, summary: maybe(text) });

const Note = Type.Object({ category: text, text, title: maybe(text), audience: maybe(text) });
const Reference = Type.Object({ summary: maybe(text), url: text, category: maybe(text) });

const concerned = { product_ids: maybe(ids), group_ids: maybe(ids) };

const Score = Type.Object({
  products: ids,
  cvss_v2: maybe(optional({ vectorString: text, baseScore: Type.Number() })),
  cvss_v3: maybe(optional({ vectorString: text, baseScore: Type.Number() })),
});

const Vulnerability = Type.Object({
  cve: maybe(text),
  ids: maybe(Type.Array(Type.Object({ system_name: text, text }))),
  title: maybe(text),
  cwe: maybe(Type.Object({ id: text, name: text })),
  notes: maybe(Type.Array(Note)),
  references: maybe(Type.Array(Reference)),
  discovery_date: maybe(text),
  release_date: maybe(text),
  product_status: maybe(
    optional({
      first_affected: ids,
      first_fixed: ids,
      fixed: ids,
      known_affected: ids,
      known_not_affected: ids,
      last_affected: ids,
      recommended: ids,
      under_investigation: ids,
    }),
  ),
  remediations: maybe(
    Type.Array(
      Type.Object({
        category: text,
        details: text,
        date: maybe(text),
        url: maybe(text),
        entitlements: maybe(Type.Array(text)),
        restart_required: maybe(Type.Object({ category: text, details: maybe(text) })),
        ...concerned,
      }),
    ),
  ),
  threats: maybe(Type.Array(Type.Object({ category: text, details: text, date: maybe(text), ...concerned }))),
  flags: maybe(Type.Array(Type.Object({ label: text, date: maybe(text), ...concerned }))),
  scores: maybe(Type.Array(Score)),
});
export type VulnerabilityJson = Static<typeof Vulnerability>;

const Document = Type.Object({
  document: Type.Object({
    category: text,
    csaf_version: text,
    title: text,
    publisher: Type.Object({ category: text, name: text, namespace: text }),
    aggregate_severity: maybe(Type.Object({ text, namespace: maybe(text) })),
    notes: maybe(Type.Array(Note)),
    references: maybe(Type.Array(Reference)),
    tracking: Type.Object({
      id,
      aliases: maybe(Type.Array(text)),
      status: text,
      version: text,
      initial_release_date: text,
      current_release_date: text,
      revision_history: Type.Array(Type.Object({ date: text, number: text, summary: text })),
    }),
  }),
  product_tree: maybe(
    optional({
      branches: Type.Array(Type.Unknown()),
      full_product_names: Type.Array(Product),
      product_groups: Type.Array(ProductGroup),
      relationships: Type.Array(Type.Unknown()),
    }),
  ),
  /** Read one by one, so that one bad entry does not lose a document. */
  vulnerabilities: maybe(Type.Array(Type.Unknown())),
});
export type DocumentJson = Static<typeof Document>;

export const validDocument = Compile(Document);
export const validBranch = Compile(Branch);
export const validRelationship = Compile(Relationship);
export const validVulnerability = Compile(Vulnerability);
