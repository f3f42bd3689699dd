import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { describeApi, openapiFile } from './openapi.ts';

it('is as the routes are; if not: npm run openapi', async () => {
  expect(existsSync(openapiFile), 'run: npm run openapi').toBe(true);
  expect(JSON.parse(readFileSync(openapiFile, 'utf8'))).toEqual(await describeApi());
});
