import { Type, type Static } from 'typebox';
import { oneOf } from './enum.ts';

/** Feeds: what is held of each and how old it is, how each is kept current, and bundles for sites without a network. */

const closed = { additionalProperties: false } as const;
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);
const time = Type.String({ format: 'date-time' });

export const feedPhases = ['idle', 'waiting', 'downloading', 'importing'] as const;
export const ageStates = ['current', 'stale', 'silent', 'never'] as const;

/** How a feed is kept current, and what came of the last attempt. */
export const FeedSync = Type.Object(
  {
    /** False for a feed that is not published at an address: it comes by file or in a bundle. */
    possible: Type.Boolean(),
    /** Whether it is downloaded by schedule. */
    enabled: Type.Boolean(),
    /** Where from, without credentials. */
    url: orNull(Type.String()),
    interval_seconds: Type.Integer(),
    next_attempt_at: orNull(time),
    last_attempt_at: orNull(time),
    last_success_at: orNull(time),
    outcome: orNull(oneOf(['imported', 'not_modified', 'failed'] as const)),
    failures: Type.Integer(),
    error: orNull(
      Type.Object({ code: Type.String(), message: Type.String(), what_to_do: Type.String() }, closed),
    ),
    /** Downloaded by the last attempt; and how long it took. */
    bytes: Type.Integer(),
    seconds: orNull(Type.Number()),
    phase: oneOf(feedPhases),
    /** Of the attempt under way: bytes of the file that is being downloaded, of how many; records read. */
    progress: Type.Object(
      { bytes: Type.Integer(), total: orNull(Type.Integer()), records: Type.Integer() },
      closed,
    ),
  },
  closed,
);
export type FeedSync = Static<typeof FeedSync>;

/** GET /api/v1/feeds → List(FeedStatus) ; GET /api/v1/feeds/:id/rejections */
export const FeedStatus = Type.Object(
  {
    id: Type.String(),
    title: Type.String(),
    publisher: Type.String(),
    published_at: orNull(Type.String()),
    last_success_at: orNull(Type.String()),
    last_attempt_at: orNull(Type.String()),
    last_error: orNull(Type.String()),
    /** Anything but `current`. */
    stale: Type.Boolean(),
    records: Type.Integer(),
    rejected: Type.Integer(),
    age: Type.Object(
      {
        state: oneOf(ageStates),
        /** What is held is the knowledge of this time. */
        as_of: orNull(time),
        seconds: orNull(Type.Integer()),
        limit_seconds: Type.Integer(),
        /** What there is to say about it. */
        sentence: orNull(Type.String()),
      },
      closed,
    ),
    sync: FeedSync,
  },
  closed,
);
export type FeedStatus = Static<typeof FeedStatus>;

/** GET /api/v1/feeds/:id/rejections → List(FeedRejection): what the last import skipped. */
export const FeedRejection = Type.Object({
  position: Type.String(),
  code: Type.String(),
  message: Type.String(),
  excerpt: Type.String(),
  at: Type.String(),
});
export type FeedRejection = Static<typeof FeedRejection>;

/** POST /api/v1/feeds/:id/import?name=&published_at=&allow_shrink= (body: the published file) → FeedImport */
export const FeedImport = Type.Object(
  {
    feed: Type.String(),
    read: Type.Integer(),
    added: Type.Integer(),
    changed: Type.Integer(),
    unchanged: Type.Integer(),
    withdrawn: Type.Integer(),
    rejected: Type.Integer(),
    seconds: Type.Number(),
  },
  closed,
);
export type FeedImport = Static<typeof FeedImport>;

/** PUT /api/v1/feeds/:id/setting → FeedStatus. What is left out stays; null goes back to what the configuration says. */
export const FeedSettingRequest = Type.Object(
  {
    enabled: Type.Optional(orNull(Type.Boolean())),
    /** A mirror instead of the publisher's address. May hold credentials (`https://user:password@host/`). */
    url: Type.Optional(orNull(Type.String({ pattern: '^https?://[^\\s]+$', maxLength: 2000 }))),
    interval_seconds: Type.Optional(orNull(Type.Integer({ minimum: 60, maximum: 31_536_000 }))),
  },
  closed,
);
export type FeedSettingRequest = Static<typeof FeedSettingRequest>;

/** POST /api/v1/feeds/:id/sync?allow_shrink= → 202 FeedStatus: it is done in the background, now. */
export const FeedSyncQuery = Type.Object({ allow_shrink: Type.Optional(Type.Boolean()) }, closed);

/** GET /api/v1/health?asset= : for people and tools who are signed in; `knowledge` is what a reader of findings must be told. */
export const HealthQuery = Type.Object(
  {
    /** Only what concerns this asset: id, or hostname when unique. */
    asset: Type.Optional(Type.String({ minLength: 1, maxLength: 255 })),
  },
  closed,
);
export const FleetHealth = Type.Object(
  {
    status: oneOf(['ok', 'stale_knowledge'] as const),
    version: Type.String(),
    knowledge: Type.Array(
      Type.Object(
        { feeds: Type.Array(Type.String()), state: oneOf(ageStates), sentence: Type.String() },
        closed,
      ),
    ),
  },
  closed,
);
export type FleetHealth = Static<typeof FleetHealth>;
/** Header of lists of findings and of assets: ids of feeds that are stale for the fleet, or `none held` where nothing is known. */
export const staleKnowledgeHeader = 'x-fixpoint-stale-feeds';

/** base64url of the 32 bytes of an Ed25519 public key. */
export const PublicKey = Type.String({ pattern: '^[A-Za-z0-9_-]{43}$' });

/** What a bundle says of itself: the first file in it, `manifest.json`. docs/feeds.md describes the format. */
export const BundleManifest = Type.Object(
  {
    format: Type.Literal(1),
    created_at: time,
    feeds: Type.Array(
      Type.Object(
        {
          feed: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,49}$' }),
          /** The files are what the publisher gave out at this time. */
          as_of: time,
          published_at: orNull(time),
          /** In the order to read them. */
          files: Type.Array(
            Type.Object(
              {
                name: Type.String({ minLength: 1, maxLength: 1000 }),
                sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
                bytes: Type.Integer({ minimum: 0 }),
                url: orNull(Type.String({ maxLength: 2000 })),
                published_at: orNull(time),
              },
              closed,
            ),
            { minItems: 1 },
          ),
        },
        closed,
      ),
      { minItems: 1, maxItems: 1000 },
    ),
  },
  closed,
);
export type BundleManifest = Static<typeof BundleManifest>;

/** The second file, `manifest.sig`: Ed25519 over `fixpoint-bundle-v1\n` and the bytes of manifest.json. */
export const BundleSignature = Type.Object(
  { public_key: PublicKey, signature: Type.String({ pattern: '^[A-Za-z0-9_-]{86}$' }) },
  closed,
);
export const bundleSignatureContext = 'fixpoint-bundle-v1\n';

/** GET /api/v1/feed-bundle?feeds=a,b&compress=zstd → the archive. */
export const BundleExportQuery = Type.Object(
  {
    feeds: Type.Optional(Type.String({ minLength: 1, maxLength: 2000 })),
    compress: Type.Optional(oneOf(['zstd', 'none'] as const)),
  },
  closed,
);
/** POST /api/v1/feed-bundle?key=&allow_older=&allow_shrink= (body: the archive) → BundleImport */
export const BundleImportQuery = Type.Object(
  {
    /** Trusted for this once, besides the keys that are trusted for good. */
    key: Type.Optional(PublicKey),
    allow_older: Type.Optional(Type.Boolean()),
    allow_shrink: Type.Optional(Type.Boolean()),
  },
  closed,
);
export const BundleImport = Type.Object(
  {
    created_at: time,
    public_key: PublicKey,
    signed_by: Type.String(),
    feeds: Type.Array(
      Type.Object(
        {
          feed: Type.String(),
          outcome: oneOf(['imported', 'unchanged', 'refused'] as const),
          as_of: time,
          import: orNull(FeedImport),
          error: orNull(
            Type.Object({ code: Type.String(), message: Type.String(), what_to_do: Type.String() }, closed),
          ),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type BundleImport = Static<typeof BundleImport>;

/** GET /api/v1/feed-bundle/keys → BundleKeys; POST (BundleKeyRequest) → BundleKey; DELETE /api/v1/feed-bundle/keys/:key */
export const BundleKeyRequest = Type.Object(
  { public_key: PublicKey, name: Type.String({ minLength: 1, maxLength: 100 }) },
  closed,
);
export const BundleKey = Type.Object(
  { public_key: PublicKey, name: Type.String(), added_by: Type.String(), added_at: time },
  closed,
);
export type BundleKey = Static<typeof BundleKey>;
export const BundleKeys = Type.Object(
  {
    /** This server's own: what its bundles are signed with. Give it to whoever imports them. */
    own: PublicKey,
    trusted: Type.Array(BundleKey),
  },
  closed,
);
export type BundleKeys = Static<typeof BundleKeys>;
