import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { dashboard } from '../../examples/dashboard.js';
import { setStage } from './browser.js';

const { visit } = setStage();
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function listen(host: string, handle: RequestListener): Promise<string> {
  const server = createServer(handle).listen(0, host);
  servers.push(server);
  await once(server, 'listening');
  return `http://${host}:${(server.address() as AddressInfo).port}`;
}

interface Seen {
  readonly request: string;
  readonly status: number;
  readonly origin: string;
  readonly site: string;
  readonly hasCookie: boolean;
}

/** The example's app, and what came to it beside reads. */
async function startDashboard(): Promise<{ origin: string; changes: Seen[] }> {
  const server = createServer().listen(0, 'localhost');
  servers.push(server);
  await once(server, 'listening');
  const origin = `http://localhost:${(server.address() as AddressInfo).port}`;
  const app = dashboard(origin);
  const changes: Seen[] = [];
  app.middleware.unshift(async (ctx, next) => {
    await next();
    if (ctx.method === 'GET') return;
    changes.push({
      request: `${ctx.method} ${ctx.path}`,
      status: ctx.status,
      origin: ctx.get('Origin'),
      site: ctx.get('Sec-Fetch-Site'),
      hasCookie: ctx.get('Cookie').includes('portcullis_session='),
    });
  });
  const handle = app.callback();
  server.on('request', (request, response) => void handle(request, response));
  return { origin, changes };
}

/** A site of somebody else, whose page sends a form as soon as it is looked at. */
function startEvil(
  host: string,
  action: string,
  fields: Readonly<Record<string, string>> = {},
): Promise<string> {
  const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`);
  const page = `<form method="post" action="${action}">${inputs.join('')}</form><script>document.forms[0].submit()</script>`;
  return listen(host, (_, response) => void response.setHeader('Content-Type', 'text/html').end(page));
}

async function logIn(page: Page): Promise<void> {
  await page.getByLabel('User name').fill('alice');
  await page.getByLabel('Password').fill('correct horse');
  await page.getByRole('button', { name: 'Log in' }).click();
}

const isIn = (page: Page) => page.getByRole('heading', { name: 'Dashboard' }).waitFor();
const isOut = (page: Page) => page.getByRole('heading', { name: 'Log in' }).waitFor();

describe('a session in a browser', () => {
  it('comes with a login by form, in a cookie that no script reads, and goes with the logout', async () => {
    const { origin, changes } = await startDashboard();
    const { page } = await visit({ origin });
    expect(page.url()).toBe(`${origin}/login`);
    await logIn(page);
    await isIn(page);
    expect(page.url()).toBe(`${origin}/`);
    expect(changes).toEqual([
      { request: 'POST /login', status: 303, origin, site: 'same-origin', hasCookie: false },
    ]);

    const devtools = await page.context().newCDPSession(page);
    const { cookies } = await devtools.send('Network.getCookies', { urls: [origin] });
    expect(cookies).toMatchObject([
      {
        name: 'portcullis_session',
        value: expect.stringMatching(/^pcss_/),
        domain: 'localhost',
        path: '/',
        httpOnly: true,
        secure: false,
        sameSite: 'Lax',
        session: false,
      },
    ]);
    expect(await page.evaluate(() => document.cookie)).toBe('');
    await page.reload();
    await page.getByText('Page views in this session: 2.').waitFor();
    if (process.env['SCREENSHOT'] !== undefined) await page.screenshot({ path: process.env['SCREENSHOT'] });

    await page.getByRole('button', { name: 'Log out', exact: true }).click();
    await isOut(page);
    expect((await devtools.send('Network.getCookies', { urls: [origin] })).cookies).toEqual([]);
    await page.goto(origin);
    expect(page.url()).toBe(`${origin}/login`);
  });

  it('is not used by a page of another site, and refuses one of another port (ENR-08)', async () => {
    const { origin, changes } = await startDashboard();
    const { page } = await visit({ origin });
    await logIn(page);
    await isIn(page);
    changes.length = 0;

    // Another site: SameSite=Lax keeps the cookie back.
    await page.goto(await startEvil('127.0.0.1', `${origin}/logout/everywhere`));
    await isOut(page);
    // Another port is the same site to the browser: it sends the cookie along.
    const neighbour = await startEvil('localhost', `${origin}/logout/everywhere`);
    await page.goto(neighbour);
    await page.getByText('The request came from another site.').waitFor();
    expect(changes).toMatchObject([
      { status: 401, site: 'cross-site', hasCookie: false },
      { status: 403, site: 'same-site', hasCookie: true, origin: neighbour },
    ]);
    await page.goto(origin);
    await isIn(page);
  });

  it.each(['127.0.0.1', 'localhost'])(
    'is not begun by a page of another site, at %s (login CSRF)',
    async (host) => {
      const { origin, changes } = await startDashboard();
      const { page } = await visit({ origin });
      const fields = { username: 'alice', password: 'correct horse' };
      await page.goto(await startEvil(host, `${origin}/login`, fields));
      await page.getByText('The request came from another site.').waitFor();
      expect(changes).toMatchObject([{ request: 'POST /login', status: 403 }]);
      expect(await page.context().cookies()).toEqual([]);
    },
  );

  it('comes too where the own page sends no referrer, and with it the Origin null', async () => {
    const { origin, changes } = await startDashboard();
    const { page } = await visit({ origin });
    await page.route('**/login', async (route) => {
      const response = await route.fetch({ maxRedirects: 0 });
      await route.fulfill({ response, headers: { ...response.headers(), 'referrer-policy': 'no-referrer' } });
    });
    await page.goto(`${origin}/login`);
    await page.unrouteAll();
    await logIn(page);
    await isIn(page);
    expect(changes).toMatchObject([{ status: 303, origin: 'null', site: 'same-origin' }]);
  });
});
