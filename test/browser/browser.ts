import { spawnSync } from 'node:child_process';
import { afterAll, afterEach, beforeAll, jest } from '@jest/globals';
import { chromium, type Browser, type BrowserContext } from 'playwright-core';
import { startSite, type Site, type SiteOptions } from './site.js';
import { visitorOf, type Visitor } from './visitor.js';

/** Slow machines start a browser in tens of seconds. */
const startTimeoutMs = 120_000;
/** Ceremonies of virtual keys wait for nobody, so what takes longer hangs. */
const testTimeoutMs = 120_000;

/** What the tests of one file play on. */
export interface Stage {
  /** An app of its own, with nothing enrolled. */
  readonly site: (options?: SiteOptions) => Promise<Site>;
  /** Another person, at a computer of their own, on the page of the site. */
  readonly visit: (site: Pick<Site, 'origin'>) => Promise<Visitor>;
}

/** One browser for the tests of a file; sites and visitors end with each test, however it ends. */
export function setStage(): Stage {
  let browser: Browser;
  const sites: Site[] = [];
  const contexts: BrowserContext[] = [];
  jest.setTimeout(testTimeoutMs);

  beforeAll(async () => {
    browser = await startBrowser();
  }, startTimeoutMs);

  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    await Promise.all(sites.splice(0).map((site) => site.stop()));
  });

  afterAll(async () => {
    await browser?.close();
  });

  return {
    async site(options) {
      const site = await startSite(options);
      sites.push(site);
      return site;
    },
    async visit({ origin }) {
      const context = await browser.newContext();
      contexts.push(context);
      context.setDefaultTimeout(testTimeoutMs / 2);
      return visitorOf(await context.newPage(), origin);
    },
  };
}

/**
 * Debian's Chromium, headless, with a new profile in the folder for temporary files. It is told what to do through a
 * pipe, at whose end it ends itself: with this process, in whatever way that comes about.
 */
async function startBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: findChromium(),
    timeout: startTimeoutMs,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

function findChromium(): string {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    const { stdout } = spawnSync('sh', ['-c', 'command -v "$1"', 'sh', name], { encoding: 'utf8' });
    if (stdout.trim() !== '') return stdout.trim();
  }
  throw new Error(
    'Chromium is not installed: apt-get install chromium (Debian, Ubuntu), or https://www.chromium.org/',
  );
}
