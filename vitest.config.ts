import { defineConfig } from 'vitest/config';

/** Two kinds of test: `unit` needs only Node and PostgreSQL; `lab` boots real Debian hosts and needs root on Linux. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['*/src/**/*.test.ts', 'setup/*.test.ts', '*.test.ts'],
          exclude: ['**/node_modules/**', 'lab/src/**/*.lab.test.ts'],
          globalSetup: ['server/src/database/test-database-setup.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'lab',
          include: ['lab/src/**/*.lab.test.ts'],
          testTimeout: 600_000,
          hookTimeout: 900_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
