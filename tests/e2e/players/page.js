// Starts and stops players, each as its project's first example does, and records what they do.
// No player is helped over an error: what a player calls fatal is recorded as fatal.

const records = [];
const running = new Map();

globalThis.drain = () => records.splice(0);

function tell(player, event, detail) {
  records.push({ player, t: Date.now(), event, detail: detail === undefined ? undefined : String(detail) });
}

const starters = {
  'hls.js': (video, url) => {
    const hls = new Hls();
    hls.on(Hls.Events.ERROR, (_, data) => {
      tell('hls.js', data.fatal ? 'fatal' : 'error', `${data.type} ${data.details} ${data.error ?? ''}`);
    });
    hls.loadSource(url);
    hls.attachMedia(video);
    return () => hls.destroy();
  },
  shaka: (video, url) => {
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    player.addEventListener('error', ({ detail }) => {
      const critical = detail.severity === shaka.util.Error.Severity.CRITICAL;
      tell('shaka', critical ? 'fatal' : 'error', `${detail.code} ${detail.message ?? JSON.stringify(detail)}`);
    });
    player.attach(video).then(() => player.load(url)).then(() => video.play()).catch((error) => {
      tell('shaka', 'fatal', `load: ${error.code ?? error}`);
    });
    return () => player.destroy();
  },
  'video.js': (video, url) => {
    video.classList.add('video-js');
    // Overriding the native HLS of the browser, if it has one, is what makes this video.js.
    const player = videojs(video, {
      autoplay: 'muted',
      controls: true,
      html5: { vhs: { overrideNative: true } },
      errorDisplay: false,
    });
    player.on('error', () => tell('video.js', 'fatal', `${player.error()?.code} ${player.error()?.message}`));
    player.src({ src: url, type: 'application/vnd.apple.mpegurl' });
    return () => player.dispose();
  },
};

globalThis.startPlayer = (name, url) => {
  const video = document.createElement('video');
  video.muted = true;
  video.autoplay = true;
  video.width = 320;
  video.height = 180;
  const box = document.createElement('div');
  box.append(video);
  document.body.append(box);
  const end = starters[name](video, url);
  // video.js moves the element into a box of its own; the element stays the same.
  for (const event of ['playing', 'waiting', 'ended', 'pause']) {
    video.addEventListener(event, () => tell(name, event, video.currentTime));
  }
  video.addEventListener('error', () => tell(name, 'error', `media error ${video.error?.code} ${video.error?.message}`));
  const timer = setInterval(() => {
    // A video element hides a hole as long as its clock runs on; the clock is what is measured.
    records.push({ player: name, t: Date.now(), position: video.currentTime });
  }, 50);
  running.set(name, () => {
    clearInterval(timer);
    return end();
  });
  tell(name, 'started');
};

globalThis.stopPlayer = async (name) => {
  await running.get(name)?.();
  running.delete(name);
};
