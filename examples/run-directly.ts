// Serves an example when its file is run, and not when it is imported.
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type Koa from 'koa';

/**
 * @param moduleUrl - `import.meta.url` of the example.
 * @param port - For a second app of the same example.
 */
export function serveIfRun(app: Koa, moduleUrl: string, port = Number(process.env['PORT'] ?? 3000)): void {
  const [, script] = process.argv;
  if (script === undefined || realpathSync(script) !== fileURLToPath(moduleUrl)) return;
  app.listen(port, '127.0.0.1', () => console.log(`Listening on http://localhost:${port}`));
}
