// Reads every *.m3u8 of the folder given with hls-parser in strict mode.
// stdout: one JSON array of {"file":…,"error":…}; empty where all parse.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as HLS from 'hls-parser';

HLS.setOptions({ strictMode: true, silent: true });
const folder = process.argv[2];
const findings = [];
for (const file of readdirSync(folder).filter((name) => name.endsWith('.m3u8')).sort()) {
  try {
    HLS.parse(readFileSync(join(folder, file), 'utf8'));
  } catch (error) {
    findings.push({ file, error: String(error.message ?? error) });
  }
}
process.stdout.write(JSON.stringify(findings) + '\n');
