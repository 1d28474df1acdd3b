import { describe, expect, it } from '@jest/globals';
import { setStage } from './browser.js';
import type { Site } from './site.js';
import { counterOf, usbKey, type KeyModel, type StoredCredential, type VirtualKey } from './virtual-keys.js';
import { said, scriptIn, type Json, type Visitor } from './visitor.js';

const { site: startSite, visit } = setStage();
const refusedOnce = ['second_factor.requested alice', 'second_factor.failed alice wrong'];

interface Enrolled extends Visitor {
  readonly key: VirtualKey;
  /** Credential id. */
  readonly id: string;
  /** The account's user handle, as keys know it. */
  readonly userHandle: string;
}

/** A visitor whose account has one key, plugged in. */
async function visitEnrolled(site: Site, account: string, model?: KeyModel): Promise<Enrolled> {
  const visitor = await visit(site);
  const key = await visitor.plug(model);
  const token = await visitor.tokenOf(account);
  const options = await visitor.creationOptions(token);
  const { answer } = await visitor.createKey(options);
  expect(said(await visitor.confirm(token, answer))).toBe('201');
  site.told();
  return { ...visitor, key, id: answer.id, userHandle: options.user.id };
}

async function onlyCredential(key: VirtualKey): Promise<StoredCredential> {
  const [credential, ...more] = await key.credentials();
  if (credential === undefined || more.length > 0) throw new Error('not one credential');
  return { rpId: 'localhost', ...credential };
}

/** Two ports of one host: one "site" to browsers and one RP ID to keys, but two origins. */
async function startTwo(): Promise<{ site: Site; evil: Site; alice: Enrolled; victim: Visitor }> {
  const [site, evil] = [await startSite(), await startSite()];
  const alice = await visitEnrolled(site, 'alice');
  const victim = await visit(evil);
  const key = await victim.plug();
  await key.put(await onlyCredential(alice.key));
  return { site, evil, alice, victim };
}

/** What a phisher's server relays: no browser stands between, so no `Origin` tells. */
async function relay(site: Site, path: string, body: object, token?: string): Promise<string> {
  const response = await fetch(`${site.origin}${path}`, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  });
  return said({ status: response.status, body: await response.json() });
}

describe('an answer of a key', () => {
  it('is good for one login: replayed, it is refused', async () => {
    const site = await startSite();
    const alice = await visitEnrolled(site, 'alice');
    const { body: first } = await alice.logIn('alice');
    const { answer } = await alice.useKey(first.webauthn);
    expect(said(await alice.second(first.pending, { webauthn: answer }))).toBe('200');
    site.told();

    const ended = await alice.second(first.pending, { webauthn: answer });
    expect(said(ended)).toBe('401 pending_login_invalid');
    expect(site.told()).toEqual([]);
    const { body: next } = await alice.logIn('alice');
    const replayed = await alice.second(next.pending, { webauthn: answer });
    expect(said(replayed)).toBe('401 invalid_second_factor');
    expect(site.told()).toEqual(refusedOnce);
    const again = await alice.second(next.pending, { webauthn: answer });
    expect(said(again)).toBe('401 invalid_second_factor');
  });

  it('that is sent twice at once makes one token', async () => {
    const site = await startSite();
    const alice = await visitEnrolled(site, 'alice');
    const { body } = await alice.logIn('alice');
    const { answer } = await alice.useKey(body.webauthn);
    const replies = await Promise.all([1, 2, 3].map(() => alice.second(body.pending, { webauthn: answer })));
    expect(replies.map(({ status }) => String(status)).toSorted()).toEqual(['200', '401', '401']);
    expect(site.told().filter((line) => line.startsWith('token.issued'))).toEqual(['token.issued alice']);
  });

  it('is for the login that asked, not for another of the same account (WAN-05)', async () => {
    const site = await startSite();
    const alice = await visitEnrolled(site, 'alice');
    const { body: one } = await alice.logIn('alice');
    const { body: other } = await alice.logIn('alice');
    const { answer } = await alice.useKey(one.webauthn);
    site.told();
    const refused = await alice.second(other.pending, { webauthn: answer });
    expect(said(refused)).toBe('401 invalid_second_factor');
    expect(site.told()).toEqual(['second_factor.failed alice wrong']);
    expect(said(await alice.second(one.pending, { webauthn: answer }))).toBe('200');

    // The other login got a new challenge with its refusal; the first one is used up.
    expect(refused.body.webauthn.challenge).not.toBe(other.webauthn.challenge);
    const { answer: late } = await alice.useKey(other.webauthn);
    const stale = await alice.second(other.pending, { webauthn: late });
    expect(said(stale)).toBe('401 invalid_second_factor');
    const { answer: fresh } = await alice.useKey(stale.body.webauthn);
    expect(said(await alice.second(other.pending, { webauthn: fresh }))).toBe('200');
  });

  it('is for a login, not for a registration, and the other way round (WAN-05)', async () => {
    const site = await startSite();
    const alice = await visitEnrolled(site, 'alice');
    const token = await alice.tokenOf('alice');
    const options = await alice.creationOptions(token);
    const { body } = await alice.logIn('alice');
    site.told();
    const { answer } = await alice.useKey({ ...body.webauthn, challenge: options.challenge });
    const refused = await alice.second(body.pending, { webauthn: answer });
    expect(said(refused)).toBe('401 invalid_second_factor');

    const { challenge } = refused.body.webauthn;
    const made = await alice.createKey({ ...options, excludeCredentials: [], challenge });
    expect(said(await alice.confirm(token, made.answer))).toBe('400 invalid_request');
    expect(said(await alice.second(body.pending, { webauthn: made.answer }))).toBe(
      '401 invalid_second_factor',
    );
    expect(site.told()).toEqual(['second_factor.failed alice wrong', 'second_factor.failed alice wrong']);
  });

  it.each<[string, (answer: Json, bob: Enrolled) => Json]>([
    [
      'with one bit of the signature flipped (WAN-01)',
      (answer) => withResponse(answer, 'signature', flipped),
    ],
    ['under the id of a key of another account', (answer, { id }) => ({ ...answer, id, rawId: id })],
    [
      'with the user handle of another account (WAN-12)',
      (answer, { userHandle }) => withResponse(answer, 'userHandle', () => userHandle),
    ],
    [
      'with the counter set back',
      (answer) => withResponse(answer, 'authenticatorData', (data) => withCounter(data, 1)),
    ],
    [
      'with the counter set ahead',
      (answer) => withResponse(answer, 'authenticatorData', (data) => withCounter(data, 1000)),
    ],
  ])('is refused %s', async (_name, tamper) => {
    const site = await startSite();
    const bob = await visitEnrolled(site, 'bob');
    const alice = await visitEnrolled(site, 'alice');
    const { body } = await alice.logIn('alice');
    const { answer } = await alice.useKey(body.webauthn);
    const refused = await alice.second(body.pending, { webauthn: tamper(answer, bob) });
    expect(said(refused)).toBe('401 invalid_second_factor');
    // No word of a clone: nobody signed that (WAN-16).
    expect(site.told()).toEqual(refusedOnce);

    const { answer: honest } = await alice.useKey(refused.body.webauthn);
    expect(said(await alice.second(body.pending, { webauthn: honest }))).toBe('200');
  });

  it("of another account's key is refused, and no counter moves (WAN-13)", async () => {
    const site = await startSite();
    const alice = await visitEnrolled(site, 'alice');
    const bob = await visitEnrolled(site, 'bob');
    const { body: bobs } = await bob.logIn('bob');
    const { body } = await alice.logIn('alice');
    site.told();
    const { answer } = await bob.useKey({
      ...body.webauthn,
      allowCredentials: bobs.webauthn.allowCredentials,
    });
    expect(answer.id).toBe(bob.id);
    const refused = await alice.second(body.pending, { webauthn: answer });
    expect(said(refused)).toBe('401 invalid_second_factor');
    expect(site.told()).toEqual(['second_factor.failed alice wrong']);
    expect(refused.body.webauthn.allowCredentials).toEqual([
      { type: 'public-key', id: alice.id, transports: ['usb'] },
    ]);

    // Signed once more with the same counter, bob's key would count as cloned had the server taken note of it.
    const credential = await onlyCredential(bob.key);
    await bob.key.put({ ...credential, signCount: counterOf(answer) - 1 });
    const { answer: honest } = await bob.useKey(bobs.webauthn);
    expect(counterOf(honest)).toBe(counterOf(answer));
    expect(said(await bob.second(bobs.pending, { webauthn: honest }))).toBe('200');
    const { answer: own } = await alice.useKey(refused.body.webauthn);
    expect(counterOf(own)).toBe(2);
    expect(said(await alice.second(body.pending, { webauthn: own }))).toBe('200');
  });

  it('ends the login with the fifth wrong one', async () => {
    const site = await startSite();
    const alice = await visitEnrolled(site, 'alice');
    const { body } = await alice.logIn('alice');
    const { answer } = await alice.useKey({ ...body.webauthn, challenge: 'AAAAAAAAAAAAAAAAAAAAAA' });
    for (let i = 1; i <= 5; i += 1) {
      const refused = await alice.second(body.pending, { webauthn: answer });
      expect(said(refused)).toBe('401 invalid_second_factor');
      expect('webauthn' in refused.body).toBe(i < 5);
    }
    expect(site.told().at(-1)).toBe('pending_login.exhausted alice');
    const { answer: honest } = await alice.useKey(body.webauthn);
    expect(said(await alice.second(body.pending, { webauthn: honest }))).toBe('401 pending_login_invalid');
  });
});

describe('a cloned key', () => {
  const models: readonly KeyModel[] = [usbKey, { protocol: 'u2f', transport: 'usb' }];

  it.each(models)('is refused and told, and the original goes on: $protocol', async (model) => {
    const site = await startSite();
    const alice = await visitEnrolled(site, 'alice', model);
    const stolen = await onlyCredential(alice.key);
    expect(stolen.signCount).toBe(1);
    await alice.tokenOf('alice');
    await alice.tokenOf('alice');

    const thief = await visit(site);
    const clone = await thief.plug(model);
    for (const signCount of [stolen.signCount, 2]) {
      await clone.put({ ...stolen, signCount });
      site.told();
      const { body } = await thief.logIn('alice');
      const { answer } = await thief.useKey(body.webauthn);
      expect(counterOf(answer)).toBe(signCount + 1);
      const refused = await thief.second(body.pending, { webauthn: answer });
      expect(said(refused)).toBe('401 invalid_second_factor');
      expect(site.told()).toEqual([
        'second_factor.requested alice',
        'second_factor.failed alice cloned',
        'security_key.cloned alice',
      ]);
    }

    await alice.tokenOf('alice');
    expect(site.told()).toEqual([
      'second_factor.requested alice',
      'token.issued alice',
      'login.succeeded alice pwd,hwk',
    ]);
  });

  it('that got ahead is found out when the original is used', async () => {
    const site = await startSite();
    const alice = await visitEnrolled(site, 'alice');
    const thief = await visit(site);
    const clone = await thief.plug();
    await clone.put({ ...(await onlyCredential(alice.key)), signCount: 100 });
    await thief.tokenOf('alice');
    site.told();
    const { body } = await alice.logIn('alice');
    const { answer } = await alice.useKey(body.webauthn);
    expect(said(await alice.second(body.pending, { webauthn: answer }))).toBe('401 invalid_second_factor');
    expect(site.told().at(-1)).toBe('security_key.cloned alice');
  });
});

describe('a page of another origin', () => {
  it('gets an answer of the key that no login takes (WAN-08)', async () => {
    const { site, alice, victim } = await startTwo();
    const { body } = await alice.logIn('alice');
    const { answer } = await victim.useKey(body.webauthn);
    expect(answer.id).toBe(alice.id);
    expect(await relay(site, '/tokens/second-factor', { pending: body.pending, webauthn: answer })).toBe(
      '401 invalid_second_factor',
    );
    expect(site.told()).toEqual(refusedOnce);
  });

  it('gets a new key that no registration takes (WAN-08)', async () => {
    const { site, alice, victim } = await startTwo();
    const token = await alice.tokenOf('alice');
    const { answer } = await victim.createKey({
      ...(await alice.creationOptions(token)),
      excludeCredentials: [],
    });
    site.told();
    const path = '/second-factors/security-keys';
    expect(await relay(site, path, { name: 'Key', webauthn: answer }, token)).toBe('400 invalid_request');
    expect(site.told()).toEqual([]);
  });

  it('cannot send the second step: by script, blindly, or as a form', async () => {
    const { site, alice, victim } = await startTwo();
    const { body } = await alice.logIn('alice');
    const { answer } = await alice.useKey(body.webauthn);
    const { body: added } = await alice.send('/second-factors/backup-codes', null, {
      token: await alice.tokenOf('alice'),
    });
    const [code] = added.backup_codes;
    const url = `${site.origin}/tokens/second-factor`;
    site.told();
    site.answered();

    // JSON needs the browser's leave, which the app does not give.
    expect(
      await victim.page.evaluate(
        ([url, body]) =>
          fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body }).then(
            () => 'answered',
            (error: unknown) => String(error),
          ),
        [url, JSON.stringify({ pending: body.pending, webauthn: answer })] as const,
      ),
    ).toBe('TypeError: Failed to fetch');
    expect(site.answered().filter((line) => line.startsWith('POST'))).toEqual([]);

    // A form needs no leave, and its code would be right.
    await victim.page.evaluate(
      ([url, pending, otp_token]) =>
        fetch(url, { method: 'POST', mode: 'no-cors', body: new URLSearchParams({ pending, otp_token }) }),
      [url, body.pending as string, code as string] as const,
    );
    expect(site.answered()).toEqual(['POST /tokens/second-factor 403 csrf_rejected']);
    await victim.page.setContent(
      `<form method="post" action="${url}"><input name="pending" value="${body.pending}">` +
        `<input name="otp_token" value="${code}"><button>Win a prize</button></form>`,
    );
    const answered = victim.page.waitForResponse(url);
    await victim.page.getByRole('button', { name: 'Win a prize' }).click();
    expect((await answered).status()).toBe(403);
    expect(site.answered()).toEqual(['POST /tokens/second-factor 403 csrf_rejected']);
    expect(site.told()).toEqual([]);

    // Nothing was used up: the same form passes from the page of the app.
    await alice.page.evaluate(
      ([pending, otp_token]) =>
        fetch('/tokens/second-factor', {
          method: 'POST',
          mode: 'no-cors',
          body: new URLSearchParams({ pending, otp_token }),
        }),
      [body.pending as string, code as string] as const,
    );
    expect(site.answered()).toEqual(['POST /tokens/second-factor 200']);
  });

  it('that frames the page of the app gets an answer that no login takes (WAN-10)', async () => {
    const { site, evil, victim } = await startTwo();
    await victim.page.evaluate((src) => {
      const frame = document.createElement('iframe');
      frame.allow = 'publickey-credentials-get';
      frame.src = src;
      document.body.append(frame);
    }, `${site.origin}/`);
    const frame = await victim.page
      .waitForFunction(() => frames.length === 1)
      .then(() => {
        const found = victim.page.frames().find((one) => one.url().startsWith(site.origin));
        if (found === undefined) throw new Error('no frame');
        return found;
      });
    await frame.waitForLoadState('load');
    const framed = scriptIn(frame);
    const { body } = await framed.logIn('alice');
    const { answer } = await framed.useKey(body.webauthn);
    const client = JSON.parse(Buffer.from(answer.response.clientDataJSON, 'base64url').toString());
    expect(client).toMatchObject({ origin: site.origin, crossOrigin: true, topOrigin: evil.origin });
    expect(said(await framed.second(body.pending, { webauthn: answer }))).toBe('401 invalid_second_factor');
    expect(site.told()).toEqual(refusedOnce);
  });
});

describe('a pending login that is bound to its browser', () => {
  it('is worthless in another browser, with the right key too', async () => {
    const site = await startSite({ bindPending: true });
    const alice = await visitEnrolled(site, 'alice');
    const { body } = await alice.logIn('alice');
    expect(await alice.page.context().cookies()).toEqual([
      expect.objectContaining({
        name: 'portcullis_pending',
        httpOnly: true,
        sameSite: 'Strict',
        path: '/',
        domain: 'localhost',
      }),
    ]);
    expect(await alice.page.evaluate(() => document.cookie)).toBe('');
    const { answer } = await alice.useKey(body.webauthn);

    const thief = await visit(site);
    expect(said(await thief.second(body.pending, { webauthn: answer }))).toBe('401 pending_login_invalid');
    await thief.logIn('alice');
    expect(said(await thief.second(body.pending, { webauthn: answer }))).toBe('401 pending_login_invalid');
    expect(said(await alice.second(body.pending, { webauthn: answer }))).toBe('200');
  });
});

function withResponse(answer: Json, member: string, change: (value: string) => string): Json {
  return { ...answer, response: { ...answer.response, [member]: change(answer.response[member]) } };
}

function flipped(text: string): string {
  const bytes = Buffer.from(text, 'base64url');
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] ?? 0) ^ 1;
  return bytes.toString('base64url');
}

function withCounter(text: string, counter: number): string {
  const data = Buffer.from(text, 'base64url');
  data.writeUInt32BE(counter, 33);
  return data.toString('base64url');
}
