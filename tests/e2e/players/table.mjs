// One table of all runs whose results lie in target/e2e: feature by fault by player.
//
// A cell is the stall over the control window, in milliseconds, and what was wrong, if anything.
// `--markdown` prints it as Markdown.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';

const here = dirname(fileURLToPath(import.meta.url));
const folder = join(here, '../../../target/e2e');
const markdown = process.argv.includes('--markdown');
const players = ['hls.js', 'shaka', 'video.js', 'mpv', 'gstreamer'];

const names = readdirSync(folder).filter((name) => name.endsWith('.json')).sort();
const reports = names
  .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')))
  // Runs without players have no rows.
  .filter((report) => report.rows !== undefined);
reports.sort((a, b) => a.feature.localeCompare(b.feature) || a.scenario.localeCompare(b.scenario));

function verdict(row) {
  if (row.fatal.length > 0) return 'FATAL';
  if ((row.wrong ?? []).length > 0) return 'WRONG';
  if (!row.passed) return row.stall_ms > row.control_ms + row.allowed_ms ? 'STALLED' : 'STALLED BEFORE';
  return row.cannot?.length > 0 ? `ok (no ${row.cannot.join(', ')})` : 'ok';
}

function cell(row) {
  return row ? `${Math.max(0, row.stall_ms - row.control_ms)} ${verdict(row)}` : '–';
}

// What was lost or repeated at the lane's borders, the most first.
function content(report) {
  if (!report.content) return '–';
  const { borders, findings, decoded } = report.content;
  const most = borders.map((b) => b.lost_seconds).sort((a, b) => Math.abs(b) - Math.abs(a))[0];
  const lost = most === undefined ? 'no border' : `${most > 0 ? '+' : ''}${most.toFixed(2)} s`;
  return `${lost}, ${decoded} decoded${findings.length > 0 ? `, ${findings.length} WRONG` : ''}`;
}

const head = ['feature', 'fault', 'splices', 'gap ms', ...players, 'laws', 'watch', 'content'];
const lines = [head];
for (const report of reports) {
  const faults = [...new Set(report.rows.map((row) => row.fault))];
  faults.forEach((fault, i) => {
    const rows = report.rows.filter((row) => row.fault === fault);
    const of = (player) => rows.find((row) => row.player === player);
    // What holds for the whole run stands beside its first fault.
    const whole = i === 0
      ? [report.breaches.length, report.watch_breaches.length, content(report)]
      : ['', '', ''];
    lines.push([report.feature, fault, rows[0].splices, rows[0].gap_ms, ...players.map((p) => cell(of(p))), ...whole]);
  });
}

const widths = head.map((_, i) => Math.max(...lines.map((line) => String(line[i]).length)));
const padded = lines.map((line) => line.map((text, i) => String(text).padEnd(widths[i])));
if (markdown) padded.splice(1, 0, widths.map((width) => '-'.repeat(width)));
for (const line of padded) {
  process.stdout.write(markdown ? `| ${line.join(' | ')} |\n` : `${line.join('  ').trimEnd()}\n`);
}
