// One Chromium for all browser players of a run: hls.js, Shaka and video.js, side by side in one
// page, so that none is a background tab.
//
// stdin, one JSON object a line:  {"do":"start","player":"hls.js","url":"http://…"}
//                                 {"do":"captions|switch|stop","player":"hls.js"}
// stdout, one JSON object a line: {"player":…,"t":<Unix ms>,"position":<s>} every 50 ms
// and {"player":…,"t":…,"event":"fatal|error|ready|ended|waiting|playing|note|size|shown",
// "detail":…}; of what is shown: the picture's number and the captions over it.
// Ends when stdin ends.

import { createServer } from 'node:http';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { dirname, join } from 'node:path';
import { chromium } from 'playwright-core';

const here = dirname(fileURLToPath(import.meta.url));
const files = {
  '/': ['page.html', 'text/html'],
  '/page.js': ['page.js', 'text/javascript'],
  '/hls.js': ['node_modules/hls.js/dist/hls.min.js', 'text/javascript'],
  '/shaka.js': ['node_modules/shaka-player/dist/shaka-player.compiled.js', 'text/javascript'],
  '/video.js': ['node_modules/video.js/dist/video.min.js', 'text/javascript'],
  '/video-js.css': ['node_modules/video.js/dist/video-js.min.css', 'text/css'],
};

const server = createServer((request, response) => {
  const file = files[request.url];
  if (!file) return response.writeHead(404).end();
  response.writeHead(200, { 'Content-Type': file[1] }).end(readFileSync(join(here, file[0])));
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));

const candidates = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = candidates.find((path) => path && existsSync(path));
if (!executablePath) throw new Error('no Chromium: make setup-e2e');

const browser = await chromium.launch({
  executablePath,
  headless: true,
  args: [
    '--no-sandbox',
    '--disable-dev-shm-usage',
    '--disable-gpu',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-default-apps',
    '--disable-background-timer-throttling',
    '--disable-renderer-backgrounding',
    '--disable-backgrounding-occluded-windows',
    '--autoplay-policy=no-user-gesture-required',
    '--mute-audio',
    '--no-first-run',
  ],
});
const page = await browser.newPage();
const say = (record) => process.stdout.write(JSON.stringify(record) + '\n');
page.on('console', (message) => process.stderr.write(`page: ${message.text()}\n`));
page.on('pageerror', (error) => say({ player: 'page', t: Date.now(), event: 'note', detail: String(error) }));
page.on('crash', () => say({ player: 'page', t: Date.now(), event: 'fatal', detail: 'the page crashed' }));
await page.goto(`http://127.0.0.1:${server.address().port}/`);
say({ player: 'page', t: Date.now(), event: 'ready' });

let ending = false;
async function drain() {
  while (!ending) {
    for (const record of await page.evaluate(() => globalThis.drain())) say(record);
    await new Promise((done) => setTimeout(done, 200));
  }
}
drain().catch((error) => {
  if (!ending) say({ player: 'page', t: Date.now(), event: 'fatal', detail: String(error) });
});

orders: for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  if (order.do === 'end') break orders;
  if (order.do === 'start') {
    await page.evaluate(([player, url]) => globalThis.startPlayer(player, url), [order.player, order.url]);
  } else if (order.do === 'stop') {
    await page.evaluate((player) => globalThis.stopPlayer(player), order.player);
  } else {
    await page.evaluate(([player, what]) => globalThis.orderPlayer(player, what), [order.player, order.do]);
  }
}
ending = true;
await browser.close();
server.close();
process.exit(0);
