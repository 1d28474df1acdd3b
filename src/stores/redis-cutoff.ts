import { clockToleranceUs } from '../core/token-store.js';

/**
 * Lua that reads the account's cut-off, KEYS[2], as `cut` (-1 where there is none) and gives `isVoid(started)`; `us`
 * is the time. What comes from the future shows that the clock was set back: such a cut-off moves to the present, so
 * that it shuts nobody out for the length of the jump, and a login from there may have begun before it, so it is void.
 */
export const cutoffLua = `
local cut = tonumber(redis.call('GET', KEYS[2]) or '-1')
if cut > us + ${clockToleranceUs} then
  cut = us
  redis.call('SET', KEYS[2], string.format('%.0f', us), 'KEEPTTL')
end
local function isVoid(started) return tonumber(started) <= cut or tonumber(started) > us + ${clockToleranceUs} end
`;
