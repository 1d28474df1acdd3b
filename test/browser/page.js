// The page of the browser tests: what a page of an app does with the routes and `navigator.credentials`, and nothing
// else. Tests press its buttons, or call its functions to do what no button does.

/**
 * @param {string} path
 * @param {object | null} [body]
 * @param {{ method?: string, token?: string | undefined }} [how]
 * @returns {Promise<{ status: number, body: any }>}
 */
async function send(path, body = null, { method = 'POST', token } = {}) {
  const response = await fetch(path, {
    method,
    headers: {
      ...(body !== null && { 'Content-Type': 'application/json' }),
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
    },
    body: body === null ? null : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text === '' ? null : JSON.parse(text) };
}

/** Ends the ceremony that waits for a touch. */
let cancel = new AbortController();

/** @param {PublicKeyCredentialCreationOptionsJSON} options */
function createKey(options) {
  return outcomeOf((signal) =>
    navigator.credentials.create({
      publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options),
      signal,
    }),
  );
}

/** @param {PublicKeyCredentialRequestOptionsJSON} options */
function useKey(options) {
  return outcomeOf((signal) =>
    navigator.credentials.get({
      publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options),
      signal,
    }),
  );
}

/**
 * @param {(signal: AbortSignal) => Promise<Credential | null>} ceremony
 * @returns {Promise<{ answer: any, refused: string }>} The answer as JSON, or the name of the browser's refusal.
 */
async function outcomeOf(ceremony) {
  cancel = new AbortController();
  try {
    const credential = /** @type {PublicKeyCredential} */ (await ceremony(cancel.signal));
    return { answer: credential.toJSON(), refused: '' };
  } catch (error) {
    return { answer: null, refused: error instanceof Error ? error.name : String(error) };
  }
}

/** @type {string | undefined} */
let token;
/** @type {{ pending: string, webauthn?: PublicKeyCredentialRequestOptionsJSON }} */
let asked = { pending: '' };

/** @param {string} text */
function say(text) {
  element('said').textContent = text;
}

/** @param {{ status: number, body: any }} reply */
function goOn({ status, body }) {
  token = body.access_token;
  if (body.error === 'second_factor_required') asked = body;
  else if (body.webauthn !== undefined) asked = { ...asked, webauthn: body.webauthn };
  element('second').hidden = token !== undefined || asked.pending === '';
  element('factors').hidden = token === undefined;
  say(status === 200 ? 'logged in' : `${status} ${body.error}`);
}

/** @param {{ status: number, body: any }} reply */
function showAdded({ status, body }) {
  element('confirm').hidden = status === 201;
  const codes = status === 201 ? (body.backup_codes ?? []) : [];
  element('backup-codes').replaceChildren(
    ...codes.map((/** @type {string} */ code) => {
      const item = document.createElement('li');
      item.textContent = code;
      return item;
    }),
  );
  say(status === 201 ? 'added' : `${status} ${body.error}`);
}

onSubmit('login', async (fields) => goOn(await send('/tokens', fields)));

onSubmit('second', async (fields) => {
  goOn(await send('/tokens/second-factor', { pending: asked.pending, ...fields }));
});

onClick('use-key', async () => {
  if (asked.webauthn === undefined) return say('no security key');
  say('touch the key');
  const { answer, refused } = await useKey(asked.webauthn);
  if (refused !== '') return say(refused);
  goOn(await send('/tokens/second-factor', { pending: asked.pending, webauthn: answer }));
});

onClick('cancel', () => cancel.abort());

onClick('add-app', async () => {
  const { status, body } = await send('/second-factors/totp', {}, { token });
  if (status !== 200) return say(`${status} ${body.error}`);
  element('qr').setAttribute('src', body.qr);
  element('secret').textContent = body.secret;
  element('confirm').hidden = false;
  say('scan the code');
});

onSubmit('confirm', async (fields) => {
  showAdded(await send('/second-factors/totp/confirm', fields, { token }));
});

onClick('add-key', async () => {
  const { body } = await send('/second-factors/security-keys/options', {}, { token });
  say('touch the key');
  const { answer, refused } = await createKey(body);
  if (refused !== '') return say(refused);
  showAdded(await send('/second-factors/security-keys', { name: 'Key', webauthn: answer }, { token }));
});

/**
 * @param {string} id
 * @param {(fields: object) => Promise<void>} submit
 */
function onSubmit(id, submit) {
  const form = /** @type {HTMLFormElement} */ (element(id));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void submit(Object.fromEntries(new FormData(form)));
  });
}

/**
 * @param {string} id
 * @param {() => unknown} click
 */
function onClick(id, click) {
  element(id).addEventListener('click', () => void click());
}

/** @param {string} id */
function element(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

const functions = { send, createKey, useKey };
Object.assign(globalThis, { acme: functions });
