// Serves an example when its file is run, and not when it is imported.
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type Koa from 'koa';

/** @param moduleUrl - `import.meta.url` of the example. */
export function serveIfRun(app: Koa, moduleUrl: string): void {
  const [, script] = process.argv;
  if (script === undefined || realpathSync(script) !== fileURLToPath(moduleUrl)) return;
  const port = Number(process.env['PORT'] ?? 3000);
  app.listen(port, '127.0.0.1', () => console.log(`Listening on http://localhost:${port}`));
}
