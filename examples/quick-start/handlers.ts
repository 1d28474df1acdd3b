// The quick start's own handlers: what an existing app has already, and how it reads who is logged in.
import {
  bodyField,
  canonicalIdentifier,
  refuse,
  type Account,
  type AuthContext,
  type BreachSource,
  type FactorKey,
  type LoginWatch,
  type PasswordHashes,
  type SecondFactors,
  type Store,
} from 'koa-portcullis';
import { renderUnicodeCompact } from 'uqr';
import type { Accounts } from './accounts.js';

export interface Settings {
  /** `memoryStore()` for one process, `redisStore(redis)` for several. */
  store: Store;
  accounts: Accounts;
  /** 32 random bytes each; they seal TOTP secrets. */
  keys: FactorKey[];
  /** `{ origin }` of the pages, which security keys need; `{}` for none. */
  origin: { origin?: string };
  /** Where breached passwords are looked up, in this order. */
  sources: BreachSource[];
  /** Is told of every event. */
  watch: LoginWatch;
}

interface Services {
  accounts: Accounts;
  hashes: PasswordHashes;
  factors: SecondFactors;
}

type Handlers = Record<Name, (ctx: AuthContext) => Promise<void>> & {
  userName: (account: Account) => Promise<string>;
};

export function handlers({ accounts, hashes, factors }: Services): Handlers {
  const userName = async ({ id }: Account) => (await accounts.nameOf(id)) ?? id;
  return {
    userName,

    async signUp(ctx) {
      const username = canonicalIdentifier(bodyField('username')(ctx));
      if (username === null) return refuse(ctx, 'invalid_request');
      const id = await accounts.add(username, await hashes.hash(newPassword(ctx)));
      if (id === null) return refuse(ctx, 'conflict');
      ctx.status = 201;
      ctx.body = { id, username };
    },

    async showMe(ctx) {
      const { account, methods, token } = ctx.state.auth;
      ctx.body = { id: account?.id, username: await accounts.nameOf(account?.id ?? ''), methods, token };
    },

    async savePassword(ctx) {
      const { account } = ctx.state.auth;
      if (!account) return refuse(ctx, 'invalid_token');
      await accounts.setHash(account.id, await hashes.hash(newPassword(ctx)));
      ctx.status = 204;
    },

    async beginTotp(ctx) {
      const { account } = ctx.state.auth;
      if (!account) return refuse(ctx, 'invalid_token');
      const { secret, uri } = await factors.beginTotp(account, { label: await userName(account) });
      ctx.set('Cache-Control', 'no-store');
      // curl -H 'Accept: text/plain' shows the QR code in the terminal.
      const isTerminal = ctx.accepts('json', 'text') === 'text';
      ctx.body = isTerminal ? `${renderUnicodeCompact(uri)}\n${secret}\n` : { secret, uri };
    },

    async confirmTotp(ctx) {
      const { account, methods } = ctx.state.auth;
      const code = bodyField('otp_token')(ctx);
      if (!account || typeof code !== 'string') return refuse(ctx, 'invalid_request');
      const { outcome } = await factors.confirmTotp(account, code, {
        onlyFirst: methods?.length === 1, // a login by password alone adds no second one
      });
      if (outcome !== 'added') return refuse(ctx, outcome === 'wrong' ? 'invalid_second_factor' : 'conflict');
      ctx.status = 204;
    },
  };
}

type Name = 'signUp' | 'showMe' | 'savePassword' | 'beginTotp' | 'confirmTotp';

/** `passwordPolicy()` ran before: it let nothing but a string pass. */
function newPassword(ctx: AuthContext): string {
  return String(bodyField('password')(ctx));
}
