import { describe, expect, it } from '@jest/globals';
import { programName } from '../../src/sinks/program-name.js';

describe('the name of a program', () => {
  // prettier-ignore
  it.each([
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:131.0) Gecko/20100101 Firefox/131.0', 'Firefox on Windows'],
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36', 'Chrome on Windows'],
    ['Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0', 'Edge on Windows'],
    ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15', 'Safari on macOS'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/130.0 Mobile/15E148 Safari/604.1', 'Chrome on iPhone'],
    ['Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/26.0 Chrome/122.0.0.0 Mobile Safari/537.36', 'Samsung Internet on Android'],
    ['Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36', 'Chrome on ChromeOS'],
    ['curl/8.10.1', 'curl'],
    ['Mozilla/5.0 (X11; Linux x86_64)', 'an unknown program on Linux'],
    ['okhttp/4.12.0', 'an unknown program'],
    ['', 'an unknown program'],
  ])('of %s is %s', (userAgent, name) => {
    expect(programName(userAgent)).toBe(name);
  });

  it('holds no word that the client chose (ALR-06)', () => {
    expect(programName('Your account is at risk. Call +1 555 0100 now! Chrome/130 Windows')).toBe(
      'Chrome on Windows',
    );
  });
});
