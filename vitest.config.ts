import { defineConfig } from 'vitest/config';

// Two projects: `unit` (pure rules, conformance suites, everything in one machine's memory and loopback) and `system`
// (real programs: the built service, Chromium, coturn's tools, Alertmanager), which run one file after another.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{kernel,relay,collector,billing,dashboards,cli,docs}/**/*.test.ts'],
          pool: 'forks',
          globalSetup: ['test/embedded-store-setup.ts'],
          setupFiles: ['test/calls-setup.ts'],
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'system',
          include: ['test/system/**/*.test.ts'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
    ],
  },
});
