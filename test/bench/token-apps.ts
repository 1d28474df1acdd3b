/** Koa apps that do nothing but check a credential of ours, and those that show what the check costs. */
import { Router } from '@koa/router';
import Koa from 'koa';
import {
  AccessTokens,
  issueToken,
  passwordVerified,
  requireToken,
  type AccessTokensOptions,
} from 'koa-portcullis';
import { askOnce, type Apps, type BenchApp } from './apps.js';
import { connectStore } from './harness.js';

const logIn: Koa.Middleware = (ctx, next) => {
  passwordVerified(ctx, { id: 'carol' });
  return next();
};

/** Every app ends here. */
export const answer: Koa.Middleware = (ctx) => {
  ctx.body = 'ok';
};

export function appOf(...middleware: readonly Koa.Middleware[]): Koa {
  const app = new Koa();
  for (const one of middleware) app.use(one);
  return app;
}

function routed(...middleware: readonly Koa.Middleware[]): Koa {
  const router = new Router();
  router.get('/', ...middleware);
  return appOf(router.routes() as Koa.Middleware);
}

export function bearer(token: string): Record<string, string> {
  return { Authorization: `Bearer ${token}` };
}

async function strict(
  redisUrl: string,
  options: Omit<AccessTokensOptions, 'store'> = {},
): Promise<Omit<BenchApp, 'app'> & { readonly check: Koa.Middleware }> {
  const tokens = new AccessTokens({ store: connectStore(redisUrl), ...options });
  const issue = issueToken(tokens, { dangerouslyWithoutLockout: true, dangerouslyWithoutSecondFactor: true });
  const issued = async (): Promise<{ access_token: string; id: string }> => {
    const response = await askOnce(appOf(logIn, issue as Koa.Middleware));
    return (await response.json()) as { access_token: string; id: string };
  };
  const [live, revoked] = [await issued(), await issued()];
  await tokens.revoke(revoked.id);
  return {
    check: requireToken(tokens) as Koa.Middleware,
    headers: bearer(live.access_token),
    refused: [bearer(revoked.access_token)],
  };
}

export const ours = {
  bare: () => ({ app: appOf(answer) }),
  async strict(redisUrl) {
    const { check, ...clients } = await strict(redisUrl);
    return { app: appOf(check, answer), ...clients };
  },
  async cached(redisUrl) {
    const { check, ...clients } = await strict(redisUrl, { cache: {} });
    return { app: appOf(check, answer), ...clients };
  },
  router: () => ({ app: routed(answer) }),
  async strictRouted(redisUrl) {
    const { check, ...clients } = await strict(redisUrl);
    return { app: routed(check, answer), ...clients };
  },
} satisfies Apps;
