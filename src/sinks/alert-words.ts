import type { AlertKind } from '../core/alert.js';

/** What a mail of one kind says. All of it is fixed: what a client wrote stands among the facts, and nowhere else. */
export interface AlertWords {
  /** Ends the subject line. `whose` is "your account" or "an account". */
  subject(whose: string): string;
  /** What happened, in sentences. */
  what(whose: string): string;
  /** Undefined where it concerns operators alone. */
  readonly owner?: readonly string[];
  readonly operator: string;
}

const changePassword = 'Change your password, to one that you use nowhere else.';
const reviewLogins = 'Look at your devices and access tokens, and end those that you do not know.';
const reviewFactors = 'Look at your second factors, and remove those that you do not know.';
const ifNotYou = ['If it was not you:', changePassword, reviewLogins] as const;
const lookAtAccount =
  'Look at the log of its logins. Where in doubt, revoke its tokens and speak with its owner.';

export const alertWords: Readonly<Record<AlertKind, AlertWords>> = {
  repeated_failures: {
    subject: (whose) => `many failed logins to ${whose}`,
    what: (whose) => `Somebody tried again and again to log in to ${whose} and did not know the password.`,
    owner: [
      'If it was you, there is nothing to do. If it was not:',
      'Nobody got in by it. Change your password all the same if it is short, or used elsewhere.',
      'Switch on a second factor if you have none.',
    ],
    operator: lookAtAccount,
  },
  many_sources: {
    subject: (whose) => `failed logins to ${whose} from many places`,
    what: (whose) =>
      `Wrong passwords for ${whose} came from many addresses. That is how stolen lists are tried.`,
    owner: [
      changePassword,
      'Switch on a second factor if you have none.',
      'If you used this password anywhere else, change it there too.',
    ],
    operator: lookAtAccount,
  },
  password_known: {
    subject: (whose) => `somebody may know the password of ${whose}`,
    what: (whose) => `The right password of ${whose} was given, and then wrong second factors.`,
    owner: ['If it was not you, somebody else knows your password:', changePassword, reviewLogins],
    operator: lookAtAccount,
  },
  success_after_failures: {
    subject: (whose) => `a login to ${whose} after many failures`,
    what: (whose) => `After many wrong passwords, a login to ${whose} succeeded. It may have been guessed.`,
    owner: ifNotYou,
    operator: lookAtAccount,
  },
  new_device: {
    subject: (whose) => `a login to ${whose} from a new device`,
    what: (whose) => `There was a login to ${whose} from a device that was not seen before.`,
    owner: ifNotYou,
    operator: lookAtAccount,
  },
  new_place: {
    subject: (whose) => `a login to ${whose} from a new place`,
    what: (whose) => `There was a login to ${whose} from a network that was not seen before.`,
    owner: ifNotYou,
    operator: lookAtAccount,
  },
  security_key_cloned: {
    subject: (whose) => `a security key of ${whose} may have been copied`,
    what: (whose) =>
      `A security key of ${whose} signed with a counter that had been used before: there may be a copy of it.`,
    owner: ['Remove that security key, and enrol another one.', changePassword, reviewLogins],
    operator: lookAtAccount,
  },
  totp_replayed: {
    subject: (whose) => `a code for ${whose} was used twice`,
    what: (whose) =>
      `A code of the authenticator app of ${whose} was used again. Somebody may have read it over a shoulder or on a false page.`,
    owner: ['If you did not send the same code twice:', changePassword, reviewLogins],
    operator: lookAtAccount,
  },
  device_replayed: {
    subject: (whose) => `an old mark of a device of ${whose} was used`,
    what: (whose) =>
      `Somebody tried a password of ${whose} with the mark of a known device that a later login had used up. It was copied from that device, or comes from a backup of it.`,
    owner: [
      'If you did not restore that device from a backup, make sure that no strange program runs on it.',
      ...ifNotYou,
    ],
    operator: lookAtAccount,
  },
  backup_code_used: {
    subject: (whose) => `an emergency code of ${whose} was used`,
    what: (whose) => `There was a login to ${whose} with an emergency code.`,
    owner: [...ifNotYou, 'Make new emergency codes: the old ones are void then.'],
    operator: lookAtAccount,
  },
  factor_removed: {
    subject: (whose) => `a second factor of ${whose} was removed`,
    what: (whose) => `A second factor of ${whose} was removed.`,
    owner: [...ifNotYou, reviewFactors],
    operator: lookAtAccount,
  },
  factors_reset: {
    subject: (whose) => `the second factors of ${whose} were reset`,
    what: (whose) =>
      `An owner of the organisation reset all second factors of ${whose}. Until new ones are enrolled, the password is enough.`,
    owner: ['If you did not ask for it, tell us at once.', changePassword, 'Enrol a second factor again.'],
    operator: 'Make sure that the account asked for it, by another way than mail.',
  },
  password_spraying: {
    subject: () => 'one source tries many accounts',
    what: () => 'One source tried passwords on many accounts.',
    operator:
      'Block the source if it is none of yours. Accounts with a login from it since then may be taken over.',
  },
  unknown_names: {
    subject: () => 'many logins with names that do not exist',
    what: () =>
      "Logins were tried with many names that are nobody's. The names are not told: people type passwords there.",
    operator:
      'Somebody may be trying a list from elsewhere. Look for a source that many of them have in common.',
  },
  digest: {
    subject: () => 'more alerts, taken together',
    what: () => 'There were too many alerts for a message each. This one stands for those that follow.',
    operator: 'Look at the log of logins: this may be one attack on many accounts.',
  },
};
