"use strict";

/* What depends on nothing but the study and the subject: the order of trials, and the table of votes. */
const StudyOrder = (() => {
  /* FNV-1a, 32 bits: http://www.isthe.com/chongo/tech/comp/fnv/ */
  function hash(text) {
    let value = 0x811c9dc5;
    for (const byte of new TextEncoder().encode(text)) {
      value = Math.imul(value ^ byte, 0x01000193);
    }
    return value >>> 0;
  }

  /* Mulberry32 by Tommy Ettinger, public domain: numbers in [0, 1) from a seed of 32 bits. */
  function random(seed) {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  function shuffled(list, next) {
    const copy = [...list];
    for (let i = copy.length - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      [copy[i], copy[j]] = [copy[j], copy[i]];
    }
    return copy;
  }

  /* P.910 asks that a scene does not follow itself; where scenes are too few, what is left over does. */
  function spread(trials) {
    const rest = [...trials];
    const found = [];
    while (rest.length) {
      const before = found.length ? found[found.length - 1].sequence : null;
      const count = {};
      rest.forEach((trial) => { count[trial.sequence] = (count[trial.sequence] || 0) + 1; });
      const most = Math.max(...Object.values(count));
      const others = rest.filter((trial) => trial.sequence !== before);
      // A scene that fills more than half of what is left has to come now, or it will follow itself.
      const urgent = others.find((trial) => 2 * most > rest.length && count[trial.sequence] === most);
      const chosen = urgent || others[0] || rest[0];
      rest.splice(rest.indexOf(chosen), 1);
      found.push(chosen);
    }
    return found;
  }

  /* A subject's session: the same for the same study and name. In half of the trials `a` comes first, which is either of the
     two by chance: over subjects each stimulus comes first about equally often, not exactly. */
  function session(study, subject) {
    const next = random(hash(`${study.seed}|${subject}`));
    const practice = shuffled(study.trials, next).slice(0, study.training).map((trial) => ({ ...trial, training: true }));
    const trials = spread(shuffled(study.trials, next));
    const extra = next() < 0.5 ? "a" : "b";
    const half = Math.floor(trials.length / 2);
    const firsts = shuffled([...Array(half).fill("a"), ...Array(half).fill("b"), ...(trials.length % 2 ? [extra] : [])], next);
    return [...practice.map((trial) => ({ ...trial, first: extra })), ...trials.map((trial, i) => ({ ...trial, first: firsts[i] }))];
  }

  function cell(value) {
    const text = String(value ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  /* RFC 4180. */
  function csv(rows) {
    const names = Object.keys(rows[0] ?? {});
    return [names, ...rows.map((row) => names.map((name) => row[name]))].map((cells) => `${cells.map(cell).join(",")}\r\n`).join("");
  }

  return { session, csv };
})();
