/**
 * What of SARIF 2.1.0 a scan writes, as a JSON schema for the tests: written by hand from the specification (OASIS Standard of
 * 27 March 2020, sections 3.4 to 3.52), since no npm package carries the official one. It is stricter: properties that a scan
 * does not write are refused, and so is what the specification only asks for in words (absolute base URIs that end in a slash,
 * level `none` for everything that is no `fail`).
 */
const text = { type: 'string', minLength: 1 } as const;
const message = {
  type: 'object',
  required: ['text'],
  additionalProperties: false,
  properties: { text, markdown: text },
} as const;
const level = { enum: ['none', 'note', 'warning', 'error'] } as const;
const artifactLocation = {
  type: 'object',
  required: ['uri'],
  additionalProperties: false,
  properties: {
    uri: { type: 'string', format: 'uri-reference', pattern: '^[^/]' },
    uriBaseId: { const: 'ROOT' },
    index: { type: 'integer', minimum: 0 },
  },
} as const;

const reportingDescriptor = {
  type: 'object',
  required: ['id', 'shortDescription'],
  additionalProperties: false,
  properties: {
    id: text,
    shortDescription: message,
    fullDescription: message,
    help: message,
    helpUri: { type: 'string', format: 'uri' },
    defaultConfiguration: {
      type: 'object',
      required: ['level'],
      additionalProperties: false,
      properties: { level },
    },
    properties: {
      type: 'object',
      additionalProperties: false,
      properties: {
        tags: { type: 'array', items: text, uniqueItems: true },
        // GitHub reads it as a CVSS score.
        'security-severity': { type: 'string', pattern: String.raw`^(?:10|\d)\.\d$` },
      },
    },
  },
} as const;

const location = {
  type: 'object',
  required: ['physicalLocation', 'logicalLocations'],
  additionalProperties: false,
  properties: {
    physicalLocation: {
      type: 'object',
      required: ['artifactLocation'],
      additionalProperties: false,
      properties: {
        artifactLocation,
        region: {
          type: 'object',
          required: ['startLine'],
          additionalProperties: false,
          properties: { startLine: { type: 'integer', minimum: 1 } },
        },
      },
    },
    logicalLocations: {
      type: 'array',
      minItems: 1,
      uniqueItems: true,
      items: {
        type: 'object',
        required: ['name', 'fullyQualifiedName', 'kind'],
        additionalProperties: false,
        properties: { name: text, fullyQualifiedName: text, kind: text },
      },
    },
  },
} as const;

const result = {
  type: 'object',
  required: ['ruleId', 'ruleIndex', 'kind', 'level', 'message', 'locations', 'partialFingerprints'],
  additionalProperties: false,
  properties: {
    ruleId: text,
    ruleIndex: { type: 'integer', minimum: 0 },
    kind: { enum: ['notApplicable', 'pass', 'fail', 'review', 'open', 'informational'] },
    level,
    message,
    locations: { type: 'array', minItems: 1, items: location },
    partialFingerprints: { type: 'object', minProperties: 1, additionalProperties: text },
    properties: { type: 'object' },
  },
  if: { properties: { kind: { const: 'fail' } } },
  else: { properties: { level: { const: 'none' } } },
} as const;

export const sarifSubset = {
  type: 'object',
  required: ['$schema', 'version', 'runs'],
  additionalProperties: false,
  properties: {
    $schema: { type: 'string', format: 'uri' },
    version: { const: '2.1.0' },
    runs: {
      type: 'array',
      minItems: 1,
      items: {
        type: 'object',
        required: ['tool', 'results'],
        additionalProperties: false,
        properties: {
          tool: {
            type: 'object',
            required: ['driver'],
            additionalProperties: false,
            properties: {
              driver: {
                type: 'object',
                required: ['name'],
                additionalProperties: false,
                properties: {
                  name: text,
                  version: text,
                  rules: { type: 'array', items: reportingDescriptor },
                },
              },
            },
          },
          columnKind: { enum: ['utf16CodeUnits', 'unicodeCodePoints'] },
          originalUriBaseIds: {
            type: 'object',
            additionalProperties: {
              type: 'object',
              required: ['uri'],
              additionalProperties: false,
              properties: { uri: { type: 'string', format: 'uri', pattern: '/$' } },
            },
          },
          artifacts: {
            type: 'array',
            uniqueItems: true,
            items: {
              type: 'object',
              required: ['location'],
              additionalProperties: false,
              properties: { location: artifactLocation },
            },
          },
          results: { type: 'array', items: result },
        },
      },
    },
  },
} as const;
