import { addressNetwork } from './address-source.js';
import { countSources, type AccountState, type Look, type SeenDevice, type Step } from './account-state.js';
import type { Alert } from './alert.js';
import { alertOn } from './watch-alert.js';
import { isWithin } from './watch-episode.js';
import { shortHash, type Sign } from './watch-sign.js';

/** A device that is seen again is noted once a day: a login need not write. */
const notedMs = 86_400_000;

/** A login that succeeded: the owner's, or the end of an attack. */
export function seeSuccess(state: AccountState, sign: Sign, look: Look): Step {
  if (sign.login === null) return { state };
  const one = withoutOwnErrors(state, sign);
  const two = seeGuessed(one, sign, look);
  const three = look.subject.kind === 'account' ? seeDevice(two.state, sign, look) : { state: two.state };
  return { state: three.state, alerts: [...(two.alerts ?? []), ...(three.alerts ?? [])] };
}

/**
 * Takes away what the owner mistyped before: passwords from the source of a device that is known by its cookie, and
 * factors from the source of a login that proved one. Whoever knows neither takes nothing away, and from nowhere else: an
 * attacker's failures stay, however often the owner logs in meanwhile. Behind the address of the owner (an office)
 * he is taken for the owner until the owner's next login.
 */
function withoutOwnErrors(state: AccountState, { source, login }: Sign): AccountState {
  if (source === '' || login === null) return state;
  const isOther = (from: string): boolean => from !== source;
  return {
    ...state,
    ...(login.device === 'known' && { failures: state.failures.filter(([, from]) => isOther(from)) }),
    ...(login.hasFactor && { factors: state.factors.filter(([, from]) => isOther(from)) }),
  };
}

/**
 * A success after many failures may be the guess that was right. On a device that is known by its cookie it is the owner,
 * who must not be alarmed at each login for as long as a vandal goes on; the failures stay, for the next login that is not.
 */
function seeGuessed(state: AccountState, sign: Sign, { subject, time, limits }: Look): Step {
  const { count, withinMs } = limits.successAfterFailures;
  const counts = state.failures.filter(([stamp, , told]) => told === 0 && isWithin(stamp, time, withinMs));
  const { login } = sign;
  if (login === null || login.device === 'known' || counts.length < count) return { state };
  const alert = alertOn(
    'success_after_failures',
    subject,
    sign.seen,
    {
      since: Math.min(...counts.map(([stamp]) => stamp)),
      until: time,
      count: counts.length,
      accounts: 1,
      sources: countSources(counts),
    },
    { account: login.account, detail: sign.seen.requestId },
  );
  const failures = state.failures.map(([stamp, source]) => [stamp, source, 1] as const);
  return { state: { ...state, failures }, alerts: [alert] };
}

/**
 * Without known devices, a device is its network (or place) and what it calls itself. A thief in the owner's network with
 * the owner's kind of browser is not told apart: known devices are, which is why their word goes first. An account that
 * nobody logged in to for 90 days begins anew.
 */
function seeDevice(state: AccountState, sign: Sign, { subject, time, placeOf }: Look): Step {
  const { login, seen } = sign;
  if (login === null) return { state };
  const named = seen.address === null ? null : placeNamed(placeOf, seen.address);
  const place = shortHash('place', subject.name, named ?? networkOf(seen.address));
  const device = shortHash('device', subject.name, place, programOf(seen.userAgent));
  const isFirst = state.devices.length === 0;
  const isSeen = state.devices.some(([, one]) => one === device);
  const isNew = login.device === undefined ? !isSeen : login.device === 'new';
  const isNewPlace = !isNew && named !== null && !state.devices.some(([, , one]) => one === place);

  const after = { ...state, devices: noted(state.devices, [time, device, place]) };
  if (isFirst || !(isNew || isNewPlace)) return { state: after };
  const counted = { since: time, until: time, count: 1, accounts: 1, sources: sign.source === '' ? 0 : 1 };
  const kind = isNew ? 'new_device' : 'new_place';
  const alert: Alert = alertOn(kind, subject, seen, counted, { detail: seen.requestId });
  return { state: after, alerts: [alert] };
}

function noted(devices: readonly SeenDevice[], seen: SeenDevice): readonly SeenDevice[] {
  const [time, device] = seen;
  const known = devices.find(([, one]) => one === device);
  if (known !== undefined && isWithin(known[0], time, notedMs)) return devices;
  return [...devices.filter(([, one]) => one !== device), seen];
}

/** Without its versions: browsers become newer by themselves, some each month, and are no new devices by it. */
function programOf(userAgent: string): string {
  return userAgent.replaceAll(/\d[\d._]*/g, '');
}

/** What a table of the app's says must not stop the watch. */
function placeNamed(placeOf: Look['placeOf'], address: string): string | null {
  try {
    const place: unknown = placeOf?.(address) ?? null;
    return typeof place === 'string' && place !== '' ? place : null;
  } catch {
    return null;
  }
}

function networkOf(address: string | null): string {
  return (address === null ? null : addressNetwork(address)) ?? '';
}
