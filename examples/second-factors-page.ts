// The page of examples/second-factors.ts: plain HTML and the browser's own WebAuthn, no library.
export const page = `<!doctype html>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Second factors</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 2rem auto; padding: 0 1rem; }
  fieldset { border: 1px solid #ccc; border-radius: .5rem; margin: 0 0 1rem; padding: 1rem; }
  input, button { font: inherit; padding: .3rem .6rem; margin: .15rem 0; }
  img { display: block; width: 12rem; }
  pre { background: #f4f4f4; padding: .75rem; white-space: pre-wrap; overflow-wrap: anywhere; }
</style>
<h1>Second factors</h1>
<form id="login"><fieldset><legend>Log in</legend>
  <input name="username" value="alice" autocomplete="username" aria-label="User name">
  <input name="password" type="password" value="correct horse" autocomplete="current-password" aria-label="Password">
  <button>Log in</button>
  <div id="second" hidden>
    <input name="otp_token" autocomplete="one-time-code" placeholder="Code" aria-label="Code">
    <button name="use" value="code">Use the code</button>
    <button name="use" value="key" id="use-key">Use a security key</button>
  </div>
</fieldset></form>
<div id="manage" hidden>
  <fieldset><legend>Authenticator app</legend>
    <button id="totp">Add an app</button>
    <div id="scan" hidden>
      <img id="qr" alt="QR code for an authenticator app"><code id="secret"></code>
      <form id="confirm"><input name="otp_token" aria-label="First code" placeholder="Code"><button>Confirm</button></form>
    </div>
  </fieldset>
  <fieldset><legend>Security key</legend><button id="key">Add a key</button></fieldset>
  <fieldset><legend>Emergency codes</legend><button id="codes">Make new codes</button></fieldset>
  <fieldset><legend>Enrolled</legend><ul id="list"></ul></fieldset>
</div>
<pre id="said" role="status">Log in to begin.</pre>
<script type="module">
  const by = (id) => document.getElementById(id);
  const show = (answer) => { by('said').textContent = JSON.stringify(answer, null, 2); };
  let token;
  let pending;
  let options;

  async function send(method, path, body) {
    const headers = { 'Content-Type': 'application/json' };
    if (token) headers.Authorization = 'Bearer ' + token;
    const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    const text = await response.text();
    const answer = text === '' ? {} : JSON.parse(text);
    // RFC 9470: the login is too old for this; the page logs in again.
    if (answer.error === 'insufficient_user_authentication') by('manage').hidden = true;
    return { status: response.status, answer };
  }

  async function loggedIn({ status, answer }) {
    if (answer.pending) pending = answer.pending;
    if (answer.webauthn) options = answer.webauthn;
    by('second').hidden = !answer.pending && status !== 401;
    by('use-key').hidden = !options;
    if (status !== 200) return show(answer);
    token = answer.access_token;
    pending = options = undefined;
    by('second').hidden = true;
    by('manage').hidden = false;
    show('Logged in.');
    await list();
  }

  by('login').addEventListener('submit', async (event) => {
    event.preventDefault();
    const form = event.target;
    const use = event.submitter?.value;
    if (!pending || !use) {
      const { username, password } = form;
      token = undefined;
      return loggedIn(await send('POST', '/tokens', { username: username.value, password: password.value }));
    }
    const factor = use === 'key' ? { webauthn: await useKey() } : { otp_token: form.otp_token.value };
    return loggedIn(await send('POST', '/tokens/second-factor', { pending, ...factor }));
  });

  async function useKey() {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
    return (await navigator.credentials.get({ publicKey })).toJSON();
  }

  by('totp').addEventListener('click', async () => {
    const { status, answer } = await send('POST', '/second-factors/totp', {});
    if (status !== 200) return show(answer);
    by('scan').hidden = false;
    by('qr').src = answer.qr;
    by('secret').textContent = answer.secret;
  });

  by('confirm').addEventListener('submit', async (event) => {
    event.preventDefault();
    const otp_token = event.target.otp_token.value;
    const { status, answer } = await send('POST', '/second-factors/totp/confirm', { otp_token });
    show(answer);
    if (status === 201) by('scan').hidden = true;
    await list();
  });

  by('key').addEventListener('click', async () => {
    const begun = await send('POST', '/second-factors/security-keys/options', {});
    if (begun.status !== 200) return show(begun.answer);
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(begun.answer);
    const webauthn = (await navigator.credentials.create({ publicKey })).toJSON();
    show((await send('POST', '/second-factors/security-keys', { webauthn })).answer);
    await list();
  });

  by('codes').addEventListener('click', async () => {
    show((await send('POST', '/second-factors/backup-codes', {})).answer);
    await list();
  });

  async function list() {
    const { answer } = await send('GET', '/second-factors');
    by('list').replaceChildren(...(answer.factors ?? []).map(({ id, type, name }) => {
      const item = document.createElement('li');
      const button = document.createElement('button');
      button.textContent = 'Remove';
      button.addEventListener('click', async () => {
        show((await send('DELETE', '/second-factors/' + id)).answer);
        await list();
      });
      item.append(name + ' (' + type + ') ', button);
      return item;
    }));
  }
</script>
`;
