import { Router } from '@koa/router';
import { demandInstance } from '../core/instance.js';
import { KnownDevices } from '../core/known-devices.js';
import type { AuthContext, AuthState } from '../http/auth-state.js';
import { forgetAll, forgetOne, showDevices, type DeviceRequest } from '../http/device-requests.js';
import { demandLoginToken } from '../http/token-requests.js';

/**
 * Routes on which an account sees its known devices and forgets those it does not know, to be mounted behind
 * `requireToken` under a path of the app. A device that is forgotten is a stranger at its next login; its tokens live on,
 * and end by `tokenRoutes`. No body is read, no secret is shown, and the token of a robot opens none of them.
 *
 * GET `/` · DELETE `/` · DELETE `/:id`
 */
export function deviceRoutes(devices: KnownDevices): Router<AuthState> {
  demandInstance('deviceRoutes', KnownDevices, devices);

  const asked = (answer: (request: DeviceRequest) => Promise<void>) => async (ctx: AuthContext) => {
    const found = demandLoginToken(ctx, 'deviceRoutes');
    if (found !== undefined) await answer({ ctx, devices, found });
  };

  const router = new Router<AuthState>();
  router.get('/', asked(showDevices));
  router.delete('/', asked(forgetAll));
  router.delete('/:id', asked(forgetOne));
  return router;
}
