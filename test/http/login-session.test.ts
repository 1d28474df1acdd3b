import { describe, expect, it } from '@jest/globals';
import { memoryStore } from '../../src/stores/memory.js';
import { cookiesOf, sessionApp } from '../rig/session-app.js';

describe('x', () => {
  it('y', async () => {
    const app = await sessionApp({ store: memoryStore() });
    const b = app.browser();
    const r = await b.logIn();
    console.log(r.status, r.body, cookiesOf(r));
    const m = await b.send('get', '/me');
    console.log(m.status, m.body, cookiesOf(m), app.errors);
    const p = await b.send('post', '/me', {}, { Origin: 'http://evil.example' });
    console.log(p.status, p.body, cookiesOf(p), app.errors);
    const d = await b.send('delete', '/session');
    console.log(d.status, d.body, cookiesOf(d), app.errors, b);
    app.close();
  });
});
