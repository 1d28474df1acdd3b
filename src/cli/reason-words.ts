/** What an event means to whoever was refused, by its name and, where that says more, its reason. */
const meanings: Readonly<Record<string, string>> = {
  'login.failed': 'the password was wrong, or the name is nobody',
  'login.refused locked out': 'the account was locked by failures before; the password was not looked at',
  'login.refused address locked out':
    'the address had failed too often, at any accounts; the password was not looked at',
  'login.refused busy': 'other tries at the account were still being checked',
  'login.refused second factor locked out': 'the second factor was locked by wrong ones before',
  'login.refused second factor busy': 'other tries at the second factor were still being checked',
  'account.locked': 'this failure locked the account',
  'devices.locked': 'this failure locked the known devices of the account',
  'address.locked': 'this failure locked the address',
  'second_factor.requested': 'the password was right and a second factor was asked for',
  'second_factor.failed wrong': 'the password was right, the code or key was wrong',
  'second_factor.failed malformed': 'the password was right, what came as a code is none',
  'second_factor.failed replayed': 'the code was right and had been used before',
  'second_factor.failed cloned': 'the counter of the security key went back: there may be a copy of it',
  'second_factor.failed suspended': 'authenticator apps are suspended after 100 wrong codes in a row',
  'second_factor.failed clock': 'the code was right, but the clock of the server was set back',
  'second_factor.locked': 'this failure locked the second factor',
  'second_factor.unreadable': 'no key opens the secret: an old key is missing from the option keys',
  'totp.suspended': 'codes are refused until a key or an emergency code is used, or the factors are reset',
  'pending_login.exhausted': 'five wrong factors ended the login: it begins again with the password',
  'factor.change_refused': 'a factor was not to be added or removed like that',
  'factors.reset_refused': 'a reset was not allowed',
  'tokens.access_refused': 'tokens were asked for that the account may not see',
  'client.refused': 'an OAuth client did not prove who it is',
  'password.refused': 'a new password was refused by the policy or the breach check',
};

/** Names of events that say why a login did not go through. */
export const refusalNames: readonly string[] = [
  'login.failed',
  'login.refused',
  'account.locked',
  'devices.locked',
  'second_factor.failed',
  'second_factor.locked',
  'second_factor.unreadable',
  'totp.suspended',
  'pending_login.exhausted',
];

/** Of those, the ones that may know no account, but the HMAC of the name that was tried. */
export const namesBySubject = refusalNames.slice(0, 4);

/** Null for an event that needs no words. */
export function meaningOf({
  name,
  reason,
}: {
  readonly name: string;
  readonly reason: string | null;
}): string | null {
  return meanings[`${name} ${reason ?? ''}`] ?? meanings[name] ?? null;
}
