// The pages of examples/dashboard.ts: plain HTML and forms, no script.
import type { TokenFacts } from 'koa-portcullis';

const style = `
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 2rem auto; padding: 0 1rem; }
  form { margin: 0 0 1rem; }
  label { display: block; margin: 0 0 .5rem; }
  input, button { font: inherit; padding: .3rem .6rem; }
  img { display: block; width: 12rem; }
  [role=alert] { background: #fde8e8; padding: .75rem; }
`;

/** Everything that comes from people goes through here. */
function escape(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

function pageOf(title: string, content: string): string {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${style}</style>
<h1>${title}</h1>
${content}</html>`;
}

const alert = (said: string): string => (said === '' ? '' : `<p role="alert">${escape(said)}</p>`);

export function loginPage(said = ''): string {
  return pageOf(
    'Log in',
    `${alert(said)}<form method="post" action="/login">
  <label>User name <input name="username" autocomplete="username" required></label>
  <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
  <button>Log in</button>
</form>`,
  );
}

export function secondStepPage(pending: string, said = ''): string {
  return pageOf(
    'Second step',
    `${alert(said)}<form method="post" action="/login/second-factor">
  <input type="hidden" name="pending" value="${escape(pending)}">
  <label>Code of your app, or an emergency code <input name="otp_token" autocomplete="one-time-code" required></label>
  <button>Go on</button>
</form>`,
  );
}

export function homePage(
  name: string,
  visits: number,
  current: string,
  logins: readonly TokenFacts[],
): string {
  const rows = logins.map(({ id, createdAt, address }) => {
    const here = id === current ? ' (this browser)' : '';
    return `<li>${new Date(createdAt).toISOString()} from ${escape(address)}${here}</li>`;
  });
  return pageOf(
    'Dashboard',
    `<p>Logged in as <b>${escape(name)}</b>. Page views in this session: ${visits}.</p>
<h2>Where you are logged in</h2><ul>${rows.join('')}</ul>
<form method="post" action="/totp"><button>Add an authenticator app</button></form>
<form method="post" action="/logout"><button>Log out</button></form>
<form method="post" action="/logout/everywhere"><button>Log out everywhere</button></form>`,
  );
}

export function enrolPage(qr: string, secret: string): string {
  return pageOf(
    'Authenticator app',
    `<img src="${qr}" alt="QR code for the authenticator app"><p>Or type <code>${secret}</code></p>
<form method="post" action="/totp/confirm">
  <label>First code <input name="otp_token" autocomplete="one-time-code" required></label>
  <button>Confirm</button>
</form>`,
  );
}

export function codesPage(codes: readonly string[]): string {
  const rows = codes.map((code) => `<li><code>${code}</code></li>`).join('');
  return pageOf(
    'Emergency codes',
    `<p>Each works once. They are not shown again.</p><ul>${rows}</ul><a href="/">Go on</a>`,
  );
}
