import { Router } from '@koa/router';
import { AccessTokens } from '../core/access-tokens.js';
import { demandInstance } from '../core/instance.js';
import type { AuthContext, AuthState } from '../http/auth-state.js';
import {
  demandLoginToken,
  endCurrent,
  endOne,
  endOthers,
  showTokens,
  type TokenRequest,
} from '../http/token-requests.js';

/**
 * Routes on which an account sees where it is logged in and ends what it does not know, to be mounted behind
 * `requireToken` under a path of the app. No body is read, no secret is shown, and a token that was issued to a robot
 * opens none of them.
 *
 * GET `/` · DELETE `/current` · DELETE `/others` · DELETE `/:id`
 *
 * @see OWASP ASVS 5.0 requirements 7.4.4 and 7.5.2
 */
export function tokenRoutes(tokens: AccessTokens): Router<AuthState> {
  demandInstance('tokenRoutes', AccessTokens, tokens);

  const asked = (answer: (request: TokenRequest) => Promise<void>) => async (ctx: AuthContext) => {
    const found = demandLoginToken(ctx, 'tokenRoutes');
    if (found !== undefined) await answer({ ctx, tokens, found });
  };

  const router = new Router<AuthState>();
  router.get(
    '/',
    asked(({ ctx, found }) => showTokens(ctx, tokens, found.account, found.token.id)),
  );
  router.delete('/current', asked(endCurrent));
  router.delete('/others', asked(endOthers));
  router.delete('/:id', asked(endOne));
  return router;
}
