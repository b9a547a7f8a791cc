// Reads playlists with hls-parser in strict mode.
//
//   node lint.mjs FOLDER  every *.m3u8 there; stdout: one JSON array of {"file":…,"error":…}
//   node lint.mjs -       stdin: one JSON string a line, a playlist; stdout: a line for each, null where
//                         it parses, else the error as a JSON string

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import * as HLS from 'hls-parser';

HLS.setOptions({ strictMode: true, silent: true });

function errorOf(text) {
  try {
    HLS.parse(text);
    return null;
  } catch (error) {
    return String(error.message ?? error);
  }
}

const from = process.argv[2];
if (from === '-') {
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(errorOf(JSON.parse(line)))}\n`);
  }
} else {
  const findings = [];
  for (const file of readdirSync(from).filter((name) => name.endsWith('.m3u8')).sort()) {
    const error = errorOf(readFileSync(join(from, file), 'utf8'));
    if (error !== null) findings.push({ file, error });
  }
  process.stdout.write(`${JSON.stringify(findings)}\n`);
}
