import { describe, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { encode } from 'uqr';
import { setStage } from './browser.js';
import { password } from '../rig/login-chain.js';

const { site: startSite, visit } = setStage();

async function logIn(page: Page): Promise<void> {
  await page.getByLabel('User name').fill('alice@acme.example');
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}

async function waitFor(page: Page, text: string): Promise<void> {
  await page
    .locator('#said')
    .filter({ hasText: new RegExp(`^${text}$`) })
    .waitFor();
}

/** Whether the middle of each of the image's modules is dark, as the browser painted it; row by row. */
async function paintedModules(page: Page, size: number): Promise<boolean[][]> {
  return page.evaluate(async (size) => {
    const image = document.querySelector('img') as HTMLImageElement;
    await image.decode();
    const scale = 5;
    const canvas = document.createElement('canvas');
    canvas.width = size * scale;
    canvas.height = size * scale;
    const context = canvas.getContext('2d') as CanvasRenderingContext2D;
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const middle = (i: number): number => i * scale + (scale - 1) / 2;
    const isDark = (row: number, column: number): boolean => {
      const [red = 0, , , alpha = 0] = context.getImageData(middle(column), middle(row), 1, 1).data;
      return alpha === 255 && red < 128;
    };
    return Array.from({ length: size }, (_, row) =>
      Array.from({ length: size }, (_, column) => isDark(row, column)),
    );
  }, size);
}

describe('an authenticator app', () => {
  it('is enrolled in a page: QR code, first code, emergency codes shown once', async () => {
    const site = await startSite();
    const { page } = await visit(site);
    await logIn(page);
    await waitFor(page, 'logged in');
    const begun = page.waitForResponse(`${site.origin}/second-factors/totp`);
    await page.getByRole('button', { name: 'Add authenticator app' }).click();
    await waitFor(page, 'scan the code');

    const { uri, secret } = await (await begun).json();
    const image = page.getByRole('img', { name: 'QR code for the authenticator app' });
    expect(await image.getAttribute('src')).toMatch(/^data:image\/svg\+xml;base64,/);
    const { size, data } = encode(uri, { ecc: 'M', border: 4 });
    expect(await paintedModules(page, size)).toEqual(data);
    expect(
      await image.evaluate((one) => {
        const { complete, naturalWidth, naturalHeight } = one as HTMLImageElement;
        return complete && naturalWidth > 0 && naturalWidth === naturalHeight;
      }),
    ).toBe(true);
    expect(await page.locator('#secret').textContent()).toBe(secret);
    expect(new URL(uri).searchParams.get('secret')).toBe(secret);
    site.told();

    const confirm = page.locator('#confirm');
    await confirm.getByLabel('First code').fill('000000');
    await confirm.getByRole('button', { name: 'Confirm' }).click();
    await waitFor(page, '401 invalid_second_factor');
    const first = site.nextCode(secret);
    await confirm.getByLabel('First code').fill(first);
    await confirm.getByRole('button', { name: 'Confirm' }).click();
    await waitFor(page, 'added');
    const codes = await page.locator('#backup-codes li').allTextContents();
    expect(codes).toHaveLength(10);
    expect(site.told()).toEqual(['factor.enrolled alice@acme.example totp']);

    // The code that confirmed is used up, and the page that showed the codes is gone.
    await page.reload();
    await logIn(page);
    await waitFor(page, '401 second_factor_required');
    const second = page.locator('#second');
    await second.getByLabel('Code').fill(first);
    await second.getByRole('button', { name: 'Use code' }).click();
    await waitFor(page, '401 invalid_second_factor');
    await second.getByLabel('Code').fill(site.nextCode(secret));
    await second.getByRole('button', { name: 'Use code' }).click();
    await waitFor(page, 'logged in');
    expect(await page.content()).not.toContain(codes[0]);
    expect(site.told()).toEqual([
      'second_factor.requested alice@acme.example',
      'second_factor.failed alice@acme.example replayed',
      'totp.replayed alice@acme.example',
      'token.issued alice@acme.example',
      'login.succeeded alice@acme.example pwd,otp',
    ]);
  });
});
