import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { redisStore } from 'koa-portcullis';
import { startRedis, type RedisServer } from '../rig/redis-server.js';
import { setStage } from './browser.js';
import type { Site } from './site.js';
import { flagsOf, usbKey, withCredentialId, type KeyModel } from './virtual-keys.js';
import { said, type Visitor } from './visitor.js';

const { site: startSite, visit } = setStage();
const verifying = { hasUserVerification: true, isUserVerified: true };
const models: readonly KeyModel[] = [
  usbKey,
  { protocol: 'u2f', transport: 'usb' },
  { protocol: 'ctap2', transport: 'internal', ...verifying },
  { protocol: 'ctap2', transport: 'nfc' },
  { protocol: 'ctap2', transport: 'ble' },
];
const backupCode = expect.stringMatching(/^(?:[0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/);
const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);

const oneKey = (id: string): object => ({
  factors: [{ id, type: 'webauthn', name: 'Blue', created_at: time, last_used_at: time }],
  backup_codes: { left: 10, created_at: time, last_used_at: null },
});

/** Registers the key that is touched and logs in with it, checked at each step. Answers what the account has then. */
async function useFirstKey(site: Site, alice: Visitor, { transport }: KeyModel) {
  const token = await alice.tokenOf('alice');
  expect(site.told()).toEqual(['token.issued alice', 'login.succeeded alice pwd']);

  const options = await alice.creationOptions(token);
  expect(options).toMatchObject({
    rp: { id: 'localhost', name: 'Acme & Söhne' },
    user: { name: 'alice' },
    excludeCredentials: [],
    attestation: 'none',
    authenticatorSelection: { residentKey: 'discouraged', userVerification: 'discouraged' },
  });
  const { answer } = await alice.createKey(options);
  const added = await alice.confirm(token, answer, 'Blue');
  expect(added).toEqual({
    status: 201,
    body: { id: answer.id, backup_codes: Array.from({ length: 10 }, () => backupCode) },
  });
  expect(site.told()).toEqual(['factor.enrolled alice webauthn']);

  const first = await alice.logIn('alice');
  expect(said(first)).toBe('401 second_factor_required');
  expect(first.body).toMatchObject({
    methods: ['webauthn', 'backup_code'],
    expires_in: 300,
    webauthn: {
      rpId: 'localhost',
      userVerification: 'discouraged',
      allowCredentials: [{ type: 'public-key', id: answer.id, transports: [transport] }],
    },
  });
  const { answer: assertion } = await alice.useKey(first.body.webauthn);
  const second = await alice.second(first.body.pending, { webauthn: assertion });
  expect(second).toMatchObject({ status: 200, body: { token_type: 'Bearer', expires_in: 604_800 } });
  expect(site.told()).toEqual([
    'second_factor.requested alice',
    'token.issued alice',
    'login.succeeded alice pwd,hwk',
  ]);

  const { body } = await alice.send('/second-factors', null, {
    method: 'GET',
    token: second.body.access_token,
  });
  return { id: answer.id, factors: body };
}

/** An account with both kinds of factor; the key is in, and nobody touches it. */
async function enrolBoth(site: Site, alice: Visitor) {
  const token = await alice.tokenOf('alice');
  const { body: app } = await alice.send('/second-factors/totp', {}, { token });
  const secret: string = app.secret;
  const confirmed = await alice.send(
    '/second-factors/totp/confirm',
    { otp_token: site.nextCode(secret) },
    { token },
  );
  expect(said(confirmed)).toBe('201');
  const fresh = await alice.logIn('alice', { otp_token: site.nextCode(secret) });
  const key = await alice.plug();
  expect(said(await alice.register(fresh.body.access_token))).toBe('201');
  await key.touch(false);
  site.told();
  return { secret, key };
}

describe('a security key', () => {
  it.each(models)('registers and logs in: $protocol over $transport', async (model) => {
    const site = await startSite();
    const alice = await visit(site);
    await alice.plug(model);
    const { id, factors } = await useFirstKey(site, alice, model);
    expect(factors).toEqual(oneKey(id));
  });

  it.each([
    ['EdDSA', -8],
    ['ES256', -7],
    ['RS256', -257],
  ])('registers and logs in with %s', async (_name, alg) => {
    const site = await startSite();
    const alice = await visit(site);
    await alice.plug();
    const token = await alice.tokenOf('alice');
    const options = await alice.creationOptions(token);
    const offered: readonly { alg: number }[] = options.pubKeyCredParams;
    const { answer } = await alice.createKey({
      ...options,
      pubKeyCredParams: offered.filter((one) => one.alg === alg),
    });
    expect(answer.response.publicKeyAlgorithm).toBe(alg);
    expect(said(await alice.confirm(token, answer))).toBe('201');
    await alice.tokenOf('alice');
    expect(site.told().at(-1)).toBe('login.succeeded alice pwd,hwk');
  });

  it('registers and logs in by the buttons of a page', async () => {
    const site = await startSite();
    const { page, plug } = await visit(site);
    await plug();
    const status = page.locator('#said');
    const logIn = async (): Promise<void> => {
      await page.getByLabel('User name').fill('alice');
      await page.getByLabel('Password').fill('Correct horse 1');
      await page.getByRole('button', { name: 'Log in' }).click();
    };

    await logIn();
    await status.filter({ hasText: /^logged in$/ }).waitFor();
    await page.getByRole('button', { name: 'Add security key' }).click();
    await status.filter({ hasText: /^added$/ }).waitFor();
    expect(await page.locator('#backup-codes li').allTextContents()).toEqual(
      Array.from({ length: 10 }, () => backupCode),
    );

    await page.reload();
    await logIn();
    await status.filter({ hasText: /^401 second_factor_required$/ }).waitFor();
    await page.getByRole('button', { name: 'Use security key' }).click();
    await status.filter({ hasText: /^logged in$/ }).waitFor();
    expect(await page.locator('#backup-codes li').count()).toBe(0);
    expect(site.told().at(-1)).toBe('login.succeeded alice pwd,hwk');
  });

  it('is one of two on an account: either logs in, and the other stays when one is removed', async () => {
    const site = await startSite();
    const alice = await visit(site);
    const blue = await alice.plug();
    const first = await alice.register(await alice.tokenOf('alice'), 'Blue');
    const token = await alice.tokenOf('alice');
    await blue.touch(false);
    const red = await alice.plug({ protocol: 'u2f', transport: 'usb' });
    const second = await alice.register(token, 'Red');
    expect(first.body.backup_codes).toHaveLength(10);
    expect(second).toEqual({ status: 201, body: { id: expect.any(String), backup_codes: null } });
    site.told();

    const asked = await alice.logIn('alice');
    const allowed: readonly { id: string }[] = asked.body.webauthn.allowCredentials;
    expect(allowed.map(({ id }) => id)).toEqual([first.body.id, second.body.id]);
    for (const [touched, other, added] of [
      [red, blue, second],
      [blue, red, first],
    ] as const) {
      await other.touch(false);
      await touched.touch(true);
      const { body } = await alice.logIn('alice');
      const { answer } = await alice.useKey(body.webauthn);
      expect(answer.id).toBe(added.body.id);
      expect(said(await alice.second(body.pending, { webauthn: answer }))).toBe('200');
    }

    const fresh = await alice.tokenOf('alice');
    const path = `/second-factors/${first.body.id}`;
    expect(said(await alice.send(path, null, { method: 'DELETE', token: fresh }))).toBe('204');
    expect(site.told().at(-1)).toBe('factor.removed alice webauthn');
    await blue.unplug();
    await red.touch(true);
    expect((await alice.logIn('alice')).body.webauthn.allowCredentials).toEqual([
      { type: 'public-key', id: second.body.id, transports: ['usb'] },
    ]);
    await alice.tokenOf('alice');
  });

  it('brings emergency codes that are shown once and each good once', async () => {
    const site = await startSite();
    const alice = await visit(site);
    await alice.plug();
    const { body } = await alice.register(await alice.tokenOf('alice'));
    const [code] = body.backup_codes;
    site.told();

    const { body: asked } = await alice.logIn('alice');
    const used = await alice.second(asked.pending, { otp_token: code });
    expect(said(used)).toBe('200');
    expect(site.told()).toEqual([
      'second_factor.requested alice',
      'backup_code.used alice 9',
      'token.issued alice',
      'login.succeeded alice pwd,otp',
    ]);
    const token: string = used.body.access_token;
    const { body: mine } = await alice.send('/second-factors', null, { method: 'GET', token });
    expect(mine.backup_codes).toEqual({ left: 9, created_at: time, last_used_at: time });
    expect(JSON.stringify(mine)).not.toMatch(/[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}/);

    const { body: again } = await alice.logIn('alice');
    const reused = await alice.second(again.pending, { otp_token: code });
    expect(said(reused)).toBe('401 invalid_second_factor');
    expect(site.told()).toEqual(['second_factor.requested alice', 'second_factor.failed alice wrong']);
  });
});

describe('the same key again', () => {
  it.each(models)('is refused by the browser: $protocol over $transport', async (model) => {
    const site = await startSite();
    const alice = await visit(site);
    await alice.plug(model);
    const { body } = await alice.register(await alice.tokenOf('alice'));
    const options = await alice.creationOptions(await alice.tokenOf('alice'));
    expect(options.excludeCredentials).toEqual([
      { type: 'public-key', id: body.id, transports: [model.transport] },
    ]);
    expect(await alice.createKey(options)).toEqual({ answer: null, refused: 'InvalidStateError' });
  });

  it.each(['alice', 'bob'])(
    'is refused by the server where the page strips the exclusion, for %s',
    async (who) => {
      const site = await startSite();
      const visitor = await visit(site);
      await visitor.plug();
      const { body } = await visitor.register(await visitor.tokenOf('alice'));
      const token = await visitor.tokenOf(who);
      const options = await visitor.creationOptions(token);
      site.told();

      // No key makes one credential twice; without attestation its id is what the page says.
      const { answer } = await visitor.createKey({ ...options, excludeCredentials: [] });
      const refused = await visitor.confirm(token, withCredentialId(answer, body.id));
      expect(said(refused)).toBe('409 conflict');
      expect(site.told()).toEqual([`factor.change_refused ${who} in use, or too many`]);

      // The challenge went with the refusal, and nothing else did.
      expect(said(await visitor.confirm(token, answer))).toBe('400 invalid_request');
      const { body: mine } = await visitor.send('/second-factors', null, { method: 'GET', token });
      expect(mine.factors).toHaveLength(who === 'alice' ? 1 : 0);
      await visitor.tokenOf('alice');
    },
  );

  it('can be registered by another account once it is removed', async () => {
    const site = await startSite();
    const visitor = await visit(site);
    const key = await visitor.plug();
    const { body } = await visitor.register(await visitor.tokenOf('alice'));
    const token = await visitor.tokenOf('alice');
    const { body: before } = await visitor.logIn('alice');
    const removed = await visitor.send(`/second-factors/${body.id}`, null, { method: 'DELETE', token });
    expect(removed).toEqual({ status: 204, body: null });
    expect(site.told().at(-1)).toBe('factor.removed alice webauthn');

    // A login begun before is void, and a new one needs no key.
    const { answer: late } = await visitor.useKey(before.webauthn);
    expect(said(await visitor.second(before.pending, { webauthn: late }))).toBe('401 pending_login_invalid');
    expect(said(await visitor.logIn('alice'))).toBe('200');

    // With that very credential id, then as people do it.
    const bobs = await visitor.tokenOf('bob');
    const { answer } = await visitor.createKey(await visitor.creationOptions(bobs));
    site.told();
    expect(await visitor.confirm(bobs, withCredentialId(answer, body.id))).toEqual({
      status: 201,
      body: { id: body.id, backup_codes: Array.from({ length: 10 }, () => backupCode) },
    });
    expect(site.told()).toEqual(['factor.enrolled bob webauthn']);
    const carols = await visitor.tokenOf('carol');
    expect(said(await visitor.register(carols))).toBe('201');
    await visitor.tokenOf('carol');
    expect(site.told().at(-1)).toBe('login.succeeded carol pwd,hwk');
    expect(await key.credentials()).toHaveLength(3);
  });
});

describe('user verification', () => {
  it('is not asked for by default: a key without it passes (WAN-20)', async () => {
    const site = await startSite();
    const alice = await visit(site);
    await alice.plug();
    await alice.register(await alice.tokenOf('alice'));
    const { body } = await alice.logIn('alice');
    const { answer } = await alice.useKey(body.webauthn);
    expect(flagsOf(answer)).toEqual({ userPresent: true, userVerified: false });
    expect(said(await alice.second(body.pending, { webauthn: answer }))).toBe('200');
  });

  it("is demanded with 'required', by the browser and by the server (WAN-20)", async () => {
    const site = await startSite({ userVerification: 'required' });
    const alice = await visit(site);
    const token = await alice.tokenOf('alice');
    const bare = await alice.plug();
    const options = await alice.creationOptions(token);
    expect(options.authenticatorSelection.userVerification).toBe('required');
    expect(await alice.createKey(options)).toEqual({ answer: null, refused: 'NotAllowedError' });
    const lax = { ...options.authenticatorSelection, userVerification: 'discouraged' };
    const made = await alice.createKey({ ...options, authenticatorSelection: lax });
    expect(said(await alice.confirm(token, made.answer))).toBe('400 invalid_request');
    await bare.unplug();

    const key = await alice.plug({ ...usbKey, ...verifying });
    expect(said(await alice.register(token))).toBe('201');
    site.told();
    const { body } = await alice.logIn('alice');
    expect(body.webauthn.userVerification).toBe('required');
    await key.verifyUser(false);
    expect(await alice.useKey(body.webauthn)).toEqual({ answer: null, refused: 'NotAllowedError' });
    const touched = await alice.useKey({ ...body.webauthn, userVerification: 'discouraged' });
    expect(flagsOf(touched.answer)).toEqual({ userPresent: true, userVerified: false });
    const refused = await alice.second(body.pending, { webauthn: touched.answer });
    expect(said(refused)).toBe('401 invalid_second_factor');
    expect(site.told()).toEqual(['second_factor.requested alice', 'second_factor.failed alice wrong']);

    await key.verifyUser(true);
    const { answer } = await alice.useKey(refused.body.webauthn);
    expect(flagsOf(answer)).toEqual({ userPresent: true, userVerified: true });
    expect(said(await alice.second(body.pending, { webauthn: answer }))).toBe('200');
    expect(site.told()).toEqual(['token.issued alice', 'login.succeeded alice pwd,hwk']);
  });
});

describe('a ceremony that comes to nothing', () => {
  it('when it is cancelled on the page, leaves the login open for a code', async () => {
    const site = await startSite();
    const alice = await visit(site);
    const { secret } = await enrolBoth(site, alice);
    const { page } = alice;
    const status = page.locator('#said');
    await page.getByLabel('User name').fill('alice');
    await page.getByLabel('Password').fill('Correct horse 1');
    await page.getByRole('button', { name: 'Log in' }).click();
    await page.getByRole('button', { name: 'Use security key' }).click();
    await status.filter({ hasText: /^touch the key$/ }).waitFor();
    await page.getByRole('button', { name: 'Cancel' }).click();
    await status.filter({ hasText: /^AbortError$/ }).waitFor();
    await page.locator('#second').getByLabel('Code').fill(site.nextCode(secret));
    await page.getByRole('button', { name: 'Use code' }).click();
    await status.filter({ hasText: /^logged in$/ }).waitFor();
    expect(site.told()).toEqual([
      'second_factor.requested alice',
      'token.issued alice',
      'login.succeeded alice pwd,otp',
    ]);
  });

  it('when the wrong key is in, leaves the login open for a code and for the right one', async () => {
    const site = await startSite();
    const alice = await visit(site);
    const { secret, key } = await enrolBoth(site, alice);
    const stranger = await alice.plug();
    const { body } = await alice.logIn('alice');
    expect(body.methods).toEqual(['totp', 'webauthn', 'backup_code']);
    expect(await alice.useKey(body.webauthn)).toEqual({ answer: null, refused: 'NotAllowedError' });
    const byCode = await alice.second(body.pending, { otp_token: site.nextCode(secret) });
    expect(said(byCode)).toBe('200');

    const { body: next } = await alice.logIn('alice');
    expect(await alice.useKey(next.webauthn)).toEqual({ answer: null, refused: 'NotAllowedError' });
    await stranger.unplug();
    await key.touch(true);
    const { answer } = await alice.useKey(next.webauthn);
    expect(said(await alice.second(next.pending, { webauthn: answer }))).toBe('200');
    expect(site.told()).toEqual([
      'second_factor.requested alice',
      'token.issued alice',
      'login.succeeded alice pwd,otp',
      'second_factor.requested alice',
      'token.issued alice',
      'login.succeeded alice pwd,hwk',
    ]);
  });
});

describe('with everything in Redis', () => {
  let server: RedisServer;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.url);
  });
  afterAll(async () => {
    redis?.disconnect();
    await server?.stop();
  });

  it.each(models.slice(0, 2))('a key registers and logs in: $protocol over $transport', async (model) => {
    const store = redisStore(redis, { prefix: model.protocol });
    const site = await startSite({ store });
    const alice = await visit(site);
    await alice.plug(model);
    const { id, factors } = await useFirstKey(site, alice, model);
    expect(factors).toEqual(oneKey(id));
  });

  it('a clone is told, and the credential is one account’s', async () => {
    const site = await startSite({ store: redisStore(redis, { prefix: 'clone' }) });
    const alice = await visit(site);
    const key = await alice.plug();
    const { body } = await alice.register(await alice.tokenOf('alice'));
    const [stolen] = await key.credentials();
    if (stolen === undefined) throw new Error('no credential');
    await alice.tokenOf('alice');
    const token = await alice.tokenOf('bob');
    const { answer } = await alice.createKey(await alice.creationOptions(token));
    expect(said(await alice.confirm(token, withCredentialId(answer, body.id)))).toBe('409 conflict');

    const thief = await visit(site);
    await (await thief.plug()).put(stolen);
    site.told();
    const { body: asked } = await thief.logIn('alice');
    const { answer: forged } = await thief.useKey(asked.webauthn);
    const refused = await thief.second(asked.pending, { webauthn: forged });
    expect(said(refused)).toBe('401 invalid_second_factor');
    expect(site.told()).toEqual([
      'second_factor.requested alice',
      'second_factor.failed alice cloned',
      'security_key.cloned alice',
    ]);
    await alice.tokenOf('alice');
  });
});
