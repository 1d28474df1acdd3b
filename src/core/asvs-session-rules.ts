import { app, appDecides, by, heard, met, notMet, type RequirementRule } from './requirement-rule.js';
import { spanOf } from './time-span.js';

/** OWASP ASVS 5.0.0, chapters V7 and V16 as far as they touch logins, in our words. */
export const asvsSessionRules: readonly RequirementRule[] = [
  app('7.1.1', 'Lifetimes of sessions are written down.', 'this report helps'),
  {
    id: '7.2.1',
    text: 'Tokens are verified on the server.',
    judge: by('tokens', () => met('each is looked up in the store')),
  },
  {
    id: '7.2.2',
    text: 'Tokens are made for each session; no fixed keys.',
    judge: by('tokens', () => met('random, at each login')),
  },
  {
    id: '7.2.3',
    text: 'Reference tokens are random, of 128 bits or more.',
    judge: by('tokens', () => met('256 bits')),
  },
  {
    id: '7.2.4',
    text: 'A login gives a new token, and ends the present one.',
    judge: by('tokens', () =>
      appDecides('sessions do both; of bearer tokens the client ends the present one'),
    ),
  },
  {
    id: '7.3.1',
    text: 'Sessions end when they are not used.',
    judge: by('tokens', () => appDecides('idleSeconds of issueToken')),
  },
  {
    id: '7.3.2',
    text: 'Sessions end after a longest time.',
    judge: by('tokens', ({ lifetimeSeconds }) => met(spanOf(lifetimeSeconds))),
  },
  {
    id: '7.4.1',
    text: 'A log-out ends the session.',
    judge: by('tokens', ({ maxStaleSeconds }) =>
      met(maxStaleSeconds === 0 ? 'at once' : `within ${maxStaleSeconds} s`),
    ),
  },
  app('7.4.2', 'A disabled account has no sessions.', 'findAccount of requireToken, tokens.revokeAll'),
  app('7.4.3', 'Other sessions can be ended when a factor changes.', 'revokeOtherTokens, revokeOthers'),
  {
    id: '7.4.5',
    text: 'Administrators can end the sessions of a user.',
    judge: by('tokens', () => met('tokens.revokeAll, koa-portcullis tokens')),
  },
  app('7.5.1', 'Changes of the account need a fresh login.', 'requireFreshLogin'),
  app('7.5.2', 'Users see their sessions and end them.', 'tokenRoutes'),
  {
    id: '16.2.1',
    text: 'Entries of the log say when, where, who and what.',
    judge: by('log', () => met('the login log does'), notMet('no log given')),
  },
  {
    id: '16.2.5',
    text: 'No secret is logged.',
    judge: by('log', () => met('no entry holds one'), appDecides('events hold none')),
  },
  {
    id: '16.3.1',
    text: 'Logins are logged, failed ones too, with the factors used.',
    judge: by('log', (log) => heard(log, 'the login log does'), notMet('no log given')),
  },
  {
    id: '16.4.1',
    text: 'What is logged is encoded.',
    judge: by('log', () => met('control characters are escaped'), appDecides('by your own log')),
  },
  {
    id: '16.4.2',
    text: 'The log cannot be changed.',
    judge: by('log', ({ chained }) =>
      chained
        ? appDecides('the chain shows a change; who may write to the store is up to you')
        : notMet('without a chain a change does not show'),
    ),
  },
  app('16.4.3', 'Logs go to a system of their own.', 'the sinks, and the routes of the log'),
  {
    id: '16.5.3',
    text: 'Errors let nobody in.',
    judge: by('attempts', () => met('a store that cannot decide refuses')),
  },
];
