/** Chromium for system tests: Debian's own, a fresh profile, and only what a media test needs of the network. */
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';

export const chromiumPath = process.env['TURNPIKE_TEST_CHROMIUM'] ?? '/usr/bin/chromium';
/** Where it is missing its tests are skipped, except in CI, where they fail. */
export const hasChromium = existsSync(chromiumPath) || process.env['CI'] === 'true';
export const chromiumMissing = 'needs Chromium: apt-get install chromium';

export function launchChromium(more: readonly string[] = []): Promise<Browser> {
  return chromium.launch({
    executablePath: chromiumPath,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--use-fake-device-for-media-stream',
      '--use-fake-ui-for-media-stream',
      '--allow-loopback-in-peer-connection',
      '--autoplay-policy=no-user-gesture-required',
      ...more,
    ],
  });
}
