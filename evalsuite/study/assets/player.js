"use strict";

/* Two clips, one after the other, each of their pixels on one of the screen's, on grey. */
const StudyPlayer = (() => {
  const CAPTION_MS = 1000;
  const stage = document.getElementById("stage");
  const caption = document.getElementById("caption");
  const videos = [...stage.querySelectorAll("video")];
  const unseen = () => ({ scale: 1, late: 0, fullscreen: 1, pixels: Infinity, viewport: "", ratio: 1 });
  let clips = [];
  let seen = unseen();

  const wait = (ms) => new Promise((done) => setTimeout(done, ms));

  /* How large a clip can be shown here: 1 is its own size. */
  function scaleOf(clip, width, height) {
    return Math.min(1, width / clip.width, height / clip.height);
  }

  /* The window in pixels of the screen. */
  function room() {
    const ratio = window.devicePixelRatio;
    return [Math.round(window.innerWidth * ratio), Math.round(window.innerHeight * ratio)];
  }

  function place() {
    const ratio = window.devicePixelRatio;
    const [width, height] = room();
    videos.forEach((video, i) => {
      const clip = clips[i];
      if (!clip) return;
      const scale = scaleOf(clip, width, height);
      // Whole device pixels, or the browser would interpolate.
      const [w, h] = [Math.round(clip.width * scale), Math.round(clip.height * scale)];
      video.style.width = `${w / ratio}px`;
      video.style.height = `${h / ratio}px`;
      video.style.left = `${Math.floor((width - w) / 2) / ratio}px`;
      video.style.top = `${Math.floor((height - h) / 2) / ratio}px`;
      video.style.imageRendering = scale < 1 ? "auto" : "";
    });
  }

  /* The worst of how a clip is seen: what the window is like before it and at the vote is of no account. */
  function look() {
    const shown = videos.findIndex((video) => video.classList.contains("shown"));
    if (shown < 0) return;
    const [width, height] = room();
    seen.scale = Math.min(seen.scale, scaleOf(clips[shown], width, height));
    if (!document.fullscreenElement) seen.fullscreen = 0;
    if (width * height < seen.pixels) {
      seen.pixels = width * height;
      seen.viewport = `${window.innerWidth}x${window.innerHeight}`;
      seen.ratio = window.devicePixelRatio;
    }
  }

  function load(video, clip) {
    return new Promise((done, fail) => {
      video.oncanplaythrough = () => done();
      video.onerror = () => fail(new Error(`${clip.file} cannot be played: ${video.error?.message || "this browser does not know the format"}`));
      video.src = clip.file;
      video.load();
    });
  }

  /* Make two clips ready to be played without a stop. */
  async function prepare(pair) {
    clips = pair;
    seen = unseen();
    stage.hidden = false;
    caption.textContent = "Loading";
    place();
    await Promise.all(videos.map((video, i) => load(video, clips[i])));
    caption.textContent = "";
  }

  async function play(video) {
    if (video.currentTime > 0) {
      await new Promise((done) => { video.onseeked = done; video.currentTime = 0; });
    }
    const ended = new Promise((done, fail) => {
      video.onended = done;
      video.onerror = () => fail(new Error("a clip stopped playing"));
    });
    video.classList.add("shown");
    look();
    try {
      await video.play();
      const started = performance.now();
      await ended;
      seen.late = Math.max(seen.late, (performance.now() - started) / 1000 - video.duration);
    } finally {
      video.classList.remove("shown");
    }
  }

  /* Both clips from the first frame to the last, with a caption on grey before each. */
  async function present(captions) {
    stage.hidden = false;
    for (const [i, video] of videos.entries()) {
      caption.textContent = captions[i];
      video.setAttribute("aria-label", captions[i]);
      await wait(CAPTION_MS);
      caption.textContent = "";
      place();
      await play(video);
    }
    stage.hidden = true;
  }

  /* How it went since `prepare`: the worst of all that was seen. */
  function report() {
    const told = videos.map((video) => video.getVideoPlaybackQuality?.().droppedVideoFrames);
    return {
      shown_scale: Math.round(seen.scale * 10000) / 10000,
      late_s: Math.round(seen.late * 1000) / 1000,
      dropped_frames: told.includes(undefined) ? "" : told[0] + told[1],
      fullscreen: seen.fullscreen,
      viewport: seen.viewport,
      device_pixel_ratio: seen.ratio,
    };
  }

  function hide() {
    stage.hidden = true;
  }

  window.addEventListener("resize", () => { place(); look(); });
  document.addEventListener("fullscreenchange", look);
  return { prepare, present, report, hide, scaleOf };
})();
