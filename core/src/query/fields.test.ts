import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { fieldTables } from './field-tables.ts';
import {
  defaultFields,
  fieldOf,
  fields,
  freeWordPaths,
  isResolved,
  relations,
  resolvePath,
  scopes,
  subjects,
  type Subject,
} from './fields.ts';
import { parse } from './parse.ts';
import { print } from './print.ts';
import { isKeyword } from './scanner.ts';

const page = join(import.meta.dirname, '../../../docs/query-language.md');
const marks = ['<!-- fields: begin -->\n', '<!-- fields: end -->'] as const;

test('docs/query-language.md has the table of fields (UPDATE_DOCS=1 writes it)', () => {
  const text = readFileSync(page, 'utf8');
  const [before, rest] = text.split(marks[0]);
  const after = rest?.split(marks[1])[1];
  if (after === undefined) throw new Error(`${page} lacks the marks of the table`);
  const expected = `${before ?? ''}${marks[0]}\n${fieldTables()}\n${marks[1]}${after}`;
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(page, expected);
  else expect(text).toBe(expected);
});

test('every query in docs/query-language.md that names its subject is read', () => {
  const blocks = [...readFileSync(page, 'utf8').matchAll(/```query (\w+)\n([^]*?)```/g)];
  expect(blocks.length).toBeGreaterThan(3);
  for (const [, name, lines] of blocks) {
    const subject = subjects.find((each) => each === name);
    if (subject === undefined) throw new Error(`a query over ${name ?? ''}`);
    for (const line of (lines ?? '').split('\n')) {
      const text = line.replace(/ {2,}#.*$/, '');
      if (text.trim() !== '')
        expect({ text, read: parse(text, subject) }).toMatchObject({ read: { ok: true } });
    }
  }
});

describe('the table of fields', () => {
  test('every example is read in each subject that has the field, and names the field', () => {
    for (const field of fields) {
      for (const scope of field.scopes) {
        const asked: Subject = scope === 'package' ? 'asset' : scope;
        expect(field.examples.length).toBeGreaterThan(0);
        for (const example of field.examples) {
          const read = parse(example, asked);
          expect({ example, read }).toMatchObject({ read: { ok: true } });
          expect(read.ok && print(read.query)).toContain(field.name === 'name' ? 'package' : field.name);
        }
      }
    }
  });

  test('names are snake_case, no keywords, and once in a scope', () => {
    for (const { name } of [...fields, ...relations]) {
      expect(name).toMatch(/^[a-z]+(?:_[a-z]+)*$/);
      expect(isKeyword(name)).toBe(false);
    }
    for (const scope of scopes) {
      const names = [
        ...fields.filter((field) => field.scopes.includes(scope)),
        ...relations.filter((relation) => relation.from === scope),
      ].map(({ name }) => name);
      expect(names).toEqual([...new Set(names)]);
    }
  });

  test('choices are there for choices only, and booleans can be denied', () => {
    for (const field of fields) {
      expect(field.choices !== undefined).toBe(field.type === 'choice');
      expect(field.denial !== undefined).toBe(field.type === 'boolean');
    }
  });

  test('free words and names of relations lead to fields', () => {
    for (const scope of scopes) {
      for (const path of freeWordPaths[scope])
        expect(resolvePath(scope, path)).toMatchObject({ field: { type: 'text' } });
    }
    for (const scope of scopes) {
      const name = defaultFields[scope];
      if (name !== undefined) expect(fieldOf(scope, name)).not.toBeNull();
    }
  });
});

test('paths lead along relations, by key, and say which part leads nowhere', () => {
  expect(resolvePath('asset', 'Finding.CVSS')).toMatchObject({ scope: 'finding', field: { name: 'cvss' } });
  expect(resolvePath('asset', 'cloud.aws.Region')).toMatchObject({
    field: { name: 'cloud' },
    key: 'aws.Region',
  });
  expect(resolvePath('asset', 'package')).toMatchObject({ scope: 'package', field: { name: 'name' } });
  expect(resolvePath('vulnerability', 'finding.asset.os')).toMatchObject({
    scope: 'asset',
    field: { name: 'os' },
  });
  expect(resolvePath('asset', 'finding.nothing')).toEqual({ scope: 'finding', part: 'nothing', offset: 8 });
  expect(resolvePath('asset', 'finding')).toEqual({ scope: 'asset', part: 'finding', offset: 0 });
  expect(isResolved(resolvePath('asset', 'finding.asset.finding.asset.os'))).toBe(false);
  for (const path of [
    '',
    '.',
    'cloud',
    'cloud.',
    'cloud..x',
    'hostname.x',
    'hostname.',
    'constructor',
    '__proto__.x',
  ])
    expect(isResolved(resolvePath('asset', path))).toBe(false);
});
