"use strict";

/* The screens of a study: welcome, trials with their votes, and the file of votes at the end. */
(() => {
  const study = window.evalsuiteStudy;
  const KEY = `evalsuite-study-${study.id}`;
  const QUESTIONS = {
    pairwise: { question: "Which one looked better?", captions: ["First", "Second"] },
    dcr: { question: "How much is the copy impaired?", captions: ["Reference", "Copy"] },
  };
  // The grades of ITU-T P.910, degradation category rating.
  const GRADES = [
    ["5", "Imperceptible"],
    ["4", "Perceptible, but not annoying"],
    ["3", "Slightly annoying"],
    ["2", "Annoying"],
    ["1", "Very annoying"],
  ];
  const PAIR = [["1", "The first"], ["2", "The second"], ...(study.ties ? [["3", "No difference"]] : [])];
  const options = study.method === "dcr" ? GRADES : PAIR;
  const $ = (id) => document.getElementById(id);
  let state = null;
  let kept = true;
  let session = [];
  let voting = null;

  function show(screen) {
    document.body.dataset.screen = screen;
    for (const id of ["welcome", "pause", "vote", "done", "fault"]) $(id).hidden = id !== screen;
  }

  /* A browser may forbid storage, or have no room: then a reload loses the votes, and the study still works. */
  function stored() {
    try {
      const value = JSON.parse(localStorage.getItem(KEY));
      const whole = typeof value?.subject === "string" && Array.isArray(value.votes)
        && value.votes.length <= study.trials.length && value.votes.every((one) => one?.study === study.id);
      return whole ? value : null;
    } catch {
      return null;
    }
  }

  /* Whether it worked. */
  function store(value) {
    try {
      if (value) localStorage.setItem(KEY, JSON.stringify(value));
      else localStorage.removeItem(KEY);
      return true;
    } catch {
      return false;
    }
  }

  function canStore() {
    const probe = `${KEY}-probe`;
    try {
      localStorage.setItem(probe, "1");
      localStorage.removeItem(probe);
      return true;
    } catch {
      return false;
    }
  }

  /* Add a vote; another window of the same browser may have gone on with the session meanwhile. */
  function keep(vote) {
    const now = stored();
    if (now && (now.subject !== state.subject || now.votes.length > state.votes.length)) {
      // Of a session that another subject began the votes are not these: those that are here can still be downloaded.
      if (now.subject === state.subject) state = now;
      else kept = false;
      throw new Error("The study goes on in another window or tab of this browser, and the last vote here is not kept. Close all others.");
    }
    state.votes.push(vote);
    kept = store(state);
  }

  function warn(text) {
    const line = document.createElement("p");
    line.className = "warning";
    line.textContent = text;
    $("warnings").append(line);
  }

  function welcome() {
    document.title = study.title;
    $("title").textContent = study.title;
    $("length").textContent = `${study.trials.length} trials${study.training ? `, and ${study.training} before them to get used to it` : ""}.`;
    for (const part of document.querySelectorAll("[data-method]")) part.hidden = part.dataset.method !== study.method;
    const clips = Object.values(study.clips);
    const largest = { width: Math.max(...clips.map((clip) => clip.width)), height: Math.max(...clips.map((clip) => clip.height)) };
    const ratio = window.devicePixelRatio;
    const [width, height] = [Math.round(screen.width * ratio), Math.round(screen.height * ratio)];
    if (StudyPlayer.scaleOf(largest, width, height) < 1) {
      warn(`The screen has ${width} × ${height} pixels, and the largest scene ${largest.width} × ${largest.height}. It would be shown smaller than it is, and such votes are marked: use a larger screen.`);
    }
    if (matchMedia("(pointer: coarse)").matches && Math.min(screen.width, screen.height) < 600) {
      warn("This looks like a phone. Unless you were asked to use one, take a computer with a keyboard.");
    }
    if (!canStore()) {
      warn("This browser forbids storage or has no room for it: do not leave or reload this page before the file of votes has been downloaded, or they are lost.");
    }
    state = stored();
    if (state) {
      const left = study.trials.length - state.votes.length;
      $("begin").hidden = true;
      $("resume").hidden = false;
      $("resume-text").textContent = left
        ? `${state.subject} has given ${state.votes.length} of ${study.trials.length} votes here.`
        : `${state.subject} has given all votes here.`;
    }
    show("welcome");
  }

  function fullscreen() {
    document.documentElement.requestFullscreen?.({ navigationUI: "hide" })?.catch(() => {});
  }

  async function run() {
    session = StudyOrder.session(study, state.subject);
    const practice = state.votes.length ? [] : session.filter((trial) => trial.training);
    const counted = session.filter((trial) => !trial.training);
    try {
      for (const trial of practice) await vote(trial, "Training");
      if (practice.length) await pause();
      for (let i = state.votes.length; i < counted.length; i++) {
        const given = await vote(counted[i], `Trial ${i + 1} of ${counted.length}`);
        keep({ study: study.id, subject: state.subject, trial: i + 1, ...given });
      }
      finish();
    } catch (error) {
      StudyPlayer.hide();
      $("fault-text").textContent = error.message;
      $("fault-kept").hidden = !kept;
      $("fault-lost").hidden = kept;
      $("fault-votes").hidden = !state.votes.length;
      offer($("fault-download"), `votes-${study.id}-${state.subject}-part.csv`);
      show("fault");
    }
  }

  function pause() {
    show("pause");
    $("pause-on").focus();
    return new Promise((done) => { $("pause-on").onclick = done; });
  }

  function names(trial) {
    if (study.method === "dcr") return [trial.source, trial.stimulus];
    return trial.first === "a" ? [trial.a, trial.b] : [trial.b, trial.a];
  }

  async function vote(trial, where) {
    const told = QUESTIONS[study.method];
    let replays = 0;
    let choice = "";
    show("play");
    await StudyPlayer.prepare(names(trial).map((name) => study.clips[name]));
    for (;;) {
      show("play");
      await StudyPlayer.present(told.captions);
      const answer = await ask(told.question, where, choice);
      if (answer.confirmed) {
        return { ...result(trial, answer.choice), replays, ...StudyPlayer.report(), user_agent: navigator.userAgent };
      }
      choice = answer.choice;
      replays++;
    }
  }

  function result(trial, key) {
    const shared = { time: new Date().toISOString(), sequence: trial.sequence };
    if (study.method === "dcr") return { ...shared, stimulus: trial.stimulus, score: Number(key) };
    const second = trial.first === "a" ? "b" : "a";
    return { ...shared, a: trial.a, b: trial.b, first: trial.first, choice: { 1: trial.first, 2: second, 3: "tie" }[key] };
  }

  /* The vote, once both have been seen to their ends; gives what was chosen so far where they are to be played again. */
  function ask(question, where, chosen) {
    $("question").textContent = question;
    $("progress").textContent = where;
    $("choices").replaceChildren(...options.map(([key, text]) => {
      const label = document.createElement("label");
      const radio = Object.assign(document.createElement("input"), { type: "radio", name: "choice", value: key, checked: key === chosen });
      const hint = Object.assign(document.createElement("kbd"), { textContent: key });
      hint.setAttribute("aria-hidden", "true");
      label.className = "choice";
      label.append(radio, text, hint);
      return label;
    }));
    $("confirm").disabled = !chosen;
    show("vote");
    ($("choices").querySelector(":checked") || $("choices").querySelector("input")).focus();
    return new Promise((done) => {
      voting = (confirmed) => {
        const choice = $("choices").querySelector(":checked")?.value || "";
        if (confirmed && !choice) return;
        voting = null;
        done({ confirmed, choice });
      };
    });
  }

  function choose(radio) {
    if (!radio) return;
    radio.checked = true;
    radio.focus();
    $("confirm").disabled = false;
  }

  function arrow(key) {
    const radios = [...$("choices").querySelectorAll("input")];
    if (study.method === "pairwise" && key !== "ArrowUp") {
      choose(radios[{ ArrowLeft: 0, ArrowRight: 1, ArrowDown: 2 }[key]]);
      return;
    }
    const at = radios.findIndex((radio) => radio.checked);
    const step = key === "ArrowDown" || key === "ArrowRight" ? 1 : -1;
    choose(radios[at < 0 ? 0 : Math.min(radios.length - 1, Math.max(0, at + step))]);
  }

  function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || !$("welcome").hidden) return;
    // A button that has the focus does what it says.
    if (event.target.closest("button, a") && [" ", "Enter"].includes(event.key)) return;
    if (event.key.toLowerCase() === "f") {
      if (document.fullscreenElement) document.exitFullscreen();
      else fullscreen();
    } else if (voting && event.key === " ") {
      voting(false);
    } else if (voting && event.key === "Enter") {
      voting(true);
    } else if (voting && event.key.startsWith("Arrow")) {
      arrow(event.key);
    } else if (voting && options.some(([key]) => key === event.key)) {
      choose($("choices").querySelector(`input[value="${event.key}"]`));
    } else {
      return;
    }
    event.preventDefault();
  }

  function offer(link, name) {
    link.href = URL.createObjectURL(new Blob([StudyOrder.csv(state.votes)], { type: "text/csv" }));
    link.download = name;
  }

  function finish() {
    if (document.fullscreenElement) document.exitFullscreen();
    const link = $("download");
    offer(link, `votes-${study.id}-${state.subject}.csv`);
    $("done-text").textContent = `All ${state.votes.length} votes are in the file ${link.download}, which has been downloaded.`;
    show("done");
    $("download").focus();
    link.click();
  }

  function erase() {
    store(null);
    location.reload();
  }

  $("begin").addEventListener("submit", (event) => {
    event.preventDefault();
    // Begun in another window since this page was loaded: its votes stay.
    if (stored()) {
      location.reload();
      return;
    }
    state = { subject: $("subject").value.trim(), votes: [] };
    kept = store(state);
    fullscreen();
    run();
  });
  $("go-on").addEventListener("click", () => {
    state = stored();
    if (!state) {
      location.reload();
      return;
    }
    fullscreen();
    run();
  });
  $("erase").addEventListener("click", erase);
  $("next").addEventListener("click", erase);
  $("ballot").addEventListener("submit", (event) => { event.preventDefault(); voting?.(true); });
  $("ballot").addEventListener("change", () => { $("confirm").disabled = false; });
  $("again").addEventListener("click", () => voting?.(false));
  document.addEventListener("keydown", onKey, true);
  welcome();
})();
