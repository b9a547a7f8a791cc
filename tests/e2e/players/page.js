// Starts and stops players, each as its project's first example does, and records what they do.
// No player is helped over an error: what a player calls fatal is recorded as fatal.
// A starter returns how to end the player and how it does what a viewer asks: show captions, and
// turn to the best rendition, or to the poorest where the best is the one that plays.

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
    return {
      end: () => hls.destroy(),
      captions: () => {
        hls.subtitleDisplay = true;
        hls.subtitleTrack = 0;
      },
      switch: () => {
        const best = hls.levels.length - 1;
        hls.nextLevel = hls.currentLevel === best ? 0 : best;
      },
    };
  },
  shaka: (video, url) => {
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    player.addEventListener('error', ({ detail }) => {
      const critical = detail.severity === shaka.util.Error.Severity.CRITICAL;
      tell('shaka', critical ? 'fatal' : 'error', `${detail.code} ${detail.message ?? JSON.stringify(detail)}`);
    });
    // It learns the clock of captions from the video segments that it appends: of captions that are asked
    // for later it shows none before the next discontinuity, also of packagers themselves.
    player.configure({ preferredText: [{ language: 'en', role: '', format: '' }] });
    player.attach(video).then(() => player.load(url)).then(() => video.play()).catch((error) => {
      tell('shaka', 'fatal', `load: ${error.code ?? error}`);
    });
    return {
      end: () => player.destroy(),
      captions: () => {
        if (!player.isTextTrackVisible?.() && !player.getTextTracks().some((track) => track.active)) {
          tell('shaka', 'error', 'it found no captions');
        }
      },
      switch: () => {
        player.configure('abr.enabled', false);
        const tracks = player.getVariantTracks().sort((a, b) => a.height - b.height);
        const best = tracks.at(-1);
        player.selectVariantTrack(best.active ? tracks[0] : best, true, 2);
      },
    };
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
    return {
      end: () => player.dispose(),
      captions: () => {
        const track = Array.from(player.textTracks()).find((t) => t.kind === 'subtitles');
        track.mode = 'showing';
      },
      switch: () => {
        const levels = player.tech(true).vhs.representations().sort((a, b) => a.height - b.height);
        const to = player.videoHeight() === levels.at(-1).height ? levels[0] : levels.at(-1);
        // All but one are taken out, once that one is in.
        to.enabled(true);
        for (const level of levels) if (level !== to) level.enabled(false);
      },
      texts: () => player.textTracks(),
    };
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
  const player = starters[name](video, url);
  // video.js moves the element into a box of its own; the element stays the same.
  for (const event of ['playing', 'waiting', 'ended', 'pause']) {
    video.addEventListener(event, () => tell(name, event, video.currentTime));
  }
  video.addEventListener('error', () => tell(name, 'error', `media error ${video.error?.code} ${video.error?.message}`));
  const timer = setInterval(() => {
    // A video element hides a hole as long as its clock runs on; the clock is what is measured.
    records.push({ player: name, t: Date.now(), position: video.currentTime });
  }, 50);
  video.addEventListener('resize', () => tell(name, 'size', `${video.videoWidth}x${video.videoHeight}`));
  const timers = [timer];
  const end = () => {
    timers.forEach(clearInterval);
    return player.end();
  };
  const captions = () => {
    player.captions();
    timers.push(setInterval(() => tellShown(name, video, player.texts?.() ?? video.textTracks), 200));
  };
  running.set(name, { end, captions, switch: player.switch });
  tell(name, 'started');
};

// The number that a picture carries (see clip.rs): squares along its upper edge.
const squares = { count: 13, side: 16, left: 8 };
const edge = new OffscreenCanvas(squares.left + squares.count * squares.side, squares.side);
const pen = edge.getContext('2d', { willReadFrequently: true });

function frameNumber(video) {
  pen.drawImage(video, 0, 0, edge.width, edge.height, 0, 0, edge.width, edge.height);
  const { data } = pen.getImageData(0, squares.side / 2, edge.width, 1);
  let number = 0;
  for (let bit = 0; bit < squares.count; bit += 1) {
    const middle = squares.left + bit * squares.side + squares.side / 2;
    if (data[middle * 4] > 127) number += 2 ** bit;
  }
  return number;
}

function tellShown(name, video, tracks) {
  // Lists of video.js are no iterables, and it keeps notes of its own in tracks of metadata.
  const shown = Array.from(tracks).filter((t) => t.mode !== 'disabled' && t.kind !== 'metadata');
  const texts = shown.flatMap((t) => Array.from(t.activeCues ?? []));
  tell(name, 'shown', JSON.stringify([frameNumber(video), ...texts.map((cue) => cue.text)]));
}

globalThis.orderPlayer = (name, order) => {
  try {
    running.get(name)[order]();
  } catch (error) {
    tell(name, 'error', `${order}: ${error}`);
  }
};

globalThis.stopPlayer = async (name) => {
  await running.get(name)?.end();
  running.delete(name);
};
