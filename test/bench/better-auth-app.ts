import { randomBytes } from 'node:crypto';
import { betterAuth } from 'better-auth';
import { memoryAdapter } from 'better-auth/adapters/memory';
import { fromNodeHeaders } from 'better-auth/node';
import type Koa from 'koa';
import type { BenchApp } from './apps.js';
import { answer, appOf } from './token-apps.js';

type Clients = Readonly<Record<string, string>>;

/**
 * Its session check as it is called in handlers of one's own. The database is its quickest, a few objects in the
 * process: it waits for no network. `cookieCache` trusts a second signed cookie instead, which a log-out does not end
 * for five minutes.
 */
export async function betterAuthApp(cookieCache: boolean): Promise<BenchApp> {
  const auth = server(cookieCache);
  const check: Koa.Middleware = async (ctx, next) => {
    const session = await auth.api.getSession({ headers: fromNodeHeaders(ctx.headers) });
    if (session === null) return ctx.throw(401);
    ctx.state['user'] = session.user;
    return next();
  };
  await signUp(auth);
  const [headers, loggedOut] = [await logIn(auth), await logIn(auth)];
  await auth.api.signOut({ headers: new Headers(loggedOut) });
  const other = server(cookieCache);
  await signUp(other);
  const foreign = await logIn(other);
  return { app: appOf(check, answer), headers, refused: cookieCache ? [foreign] : [foreign, loggedOut] };
}

function server(cookieCache: boolean) {
  return betterAuth({
    baseURL: 'http://127.0.0.1',
    secret: randomBytes(32).toString('base64url'),
    database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
    emailAndPassword: { enabled: true },
    session: { cookieCache: { enabled: cookieCache } },
  });
}

const credentials = { email: 'carol@example.org', password: 'Correct horse 7' };

async function signUp(auth: ReturnType<typeof server>): Promise<void> {
  await auth.api.signUpEmail({ body: { name: 'Carol', ...credentials } });
}

async function logIn(auth: ReturnType<typeof server>): Promise<Clients> {
  const response = await auth.api.signInEmail({ body: credentials, asResponse: true });
  return cookiesOf(response);
}

/** What a browser would send next. */
export function cookiesOf(response: Response): Clients {
  const cookies = response.headers.getSetCookie().map((cookie) => cookie.split(';')[0]);
  return { Cookie: cookies.join('; ') };
}
