// Checks docs/openapi.yaml by the recommended rules of Redocly; `npm run lint` runs this. It is `redocly lint` without
// @redocly/cli, which would install 160 MB of packages for its other commands.
import { fileURLToPath } from 'node:url';
import { createConfig, lint } from '@redocly/openapi-core';

const ref = fileURLToPath(new URL('../../docs/openapi.yaml', import.meta.url));
const found = await lint({ ref, config: await createConfig({ extends: ['recommended'] }) });
for (const { severity, ruleId, message, location } of found)
  console.error(`${severity} ${ruleId} ${location[0].pointer}: ${message}`);
process.exitCode = found.length > 0 ? 1 : 0;
