// Fills the pages. What does not fit on a page goes to the next one: code, its output, text.
// Then reveal.js starts, with the speaker's notes on each page that they are for.
(async () => {
  "use strict";
  const HEIGHT = 720; // of a page
  const CODE_LINES = 12; // at most, on a page
  await MathJax.startup.promise;
  const slides = document.querySelector(".reveal .slides");
  slides.classList.add("filling");

  for (const formula of slides.querySelectorAll("mjx-container")) {
    const room = formula.parentElement.clientWidth;
    const width = formula.querySelector("svg").getBoundingClientRect().width;
    if (room && width > room) formula.style.fontSize = `${Math.floor((98 * room) / width)}%`;
  }

  const isHeading = (block) => block.children.length === 1 && /^H\d$/.test(block.firstElementChild.tagName);
  const codeLines = (page) =>
    [...page.querySelectorAll(".code pre")]
      .flatMap((pre) => pre.textContent.split("\n"))
      .filter((line) => line.trim()).length;
  const fits = (page) => page.scrollHeight <= HEIGHT && codeLines(page) <= CODE_LINES;

  // Pictures give way to what stands on the page with them, as long as their labels stay legible.
  function shrink(page) {
    const images = [...page.querySelectorAll("img[data-smallest]")];
    const before = images.map((image) => image.style.height);
    for (const image of images) {
      const height = Math.floor(parseFloat(image.style.height) - (page.scrollHeight - HEIGHT));
      image.style.height = `${Math.max(height, Number(image.dataset.smallest))}px`;
      if (fits(page)) return true;
    }
    images.forEach((image, index) => (image.style.height = before[index]));
    return false;
  }

  // The second half of a list, table or text that is too long for any page, or null.
  function halve(block) {
    const whole = block.querySelector("ul, ol, tbody, pre");
    if (!whole) return null;
    const rest = block.cloneNode(true);
    const other = rest.querySelector("ul, ol, tbody, pre");
    if (whole.tagName === "PRE") {
      const lines = whole.textContent.split("\n");
      const middle = Math.ceil(lines.length / 2);
      if (block.classList.contains("code") || lines.length < 2) return null;
      whole.textContent = lines.slice(0, middle).join("\n");
      other.textContent = lines.slice(middle).join("\n");
      return rest;
    }
    const middle = Math.ceil(whole.children.length / 2);
    if (whole.children.length < 2) return null;
    [...whole.children].slice(middle).forEach((child) => child.remove());
    [...other.children].slice(0, middle).forEach((child) => child.remove());
    if (whole.tagName === "OL") other.start = whole.start + middle;
    return rest;
  }

  function nextPage(page, title) {
    const next = document.createElement("section");
    next.dataset.note = page.dataset.note;
    const running = document.createElement("p");
    running.className = "running";
    running.textContent = title;
    next.append(running);
    page.after(next);
    return next;
  }

  function fill(first, title, isFirst) {
    const waiting = [...first.children];
    let page = first;
    first.replaceChildren();
    if (!isFirst && !waiting.some(isHeading)) {
      page = nextPage(first, title);
      first.remove();
    }
    let count = 0; // blocks on this page
    while (waiting.length) {
      const block = waiting.shift();
      page.append(block);
      count += 1;
      if (fits(page) || shrink(page)) continue;
      if (count === 1) {
        const rest = halve(block);
        if (rest) {
          block.remove();
          count = 0;
          waiting.unshift(block, rest);
        }
        continue; // too large for a page and not to be divided: the test of the slides names it
      }
      block.remove();
      waiting.unshift(block);
      const last = page.lastElementChild;
      if (isHeading(last) && count > 2) waiting.unshift(last); // no heading at the end of a page
      if (isHeading(last) && count === 2) {
        const rest = halve(block);
        if (rest) {
          waiting.splice(1, 0, rest);
          count = 1;
          continue;
        }
      }
      page = nextPage(page, title);
      count = 0;
    }
  }

  // A fragment appears by a key: an output after its code, and what the notebook says so.
  function markFragments(page) {
    let step = -1;
    for (const block of page.querySelectorAll(":scope > .block")) {
      const before = block.previousElementSibling;
      if (!before || before.classList.contains("running")) continue;
      const isOutput = block.matches(".output") && before.matches(".code, .output");
      if (!isOutput && !block.hasAttribute("data-fragment")) continue;
      if (!(isOutput && before.matches(".output"))) step += 1; // a cell's outputs come together
      block.classList.add("fragment");
      block.dataset.fragmentIndex = Math.max(step, 0);
    }
  }

  for (const section of [...slides.children])
    [...section.children].forEach((page, index) => fill(page, section.dataset.title, index === 0));
  slides.querySelectorAll("section > section").forEach(markFragments);
  slides.classList.remove("filling");

  // The minutes of a note, spread over the pages that it is for, give the speaker's pace.
  let total = 0;
  [...document.querySelector("#notes").children].forEach((note, number) => {
    const pages = [...slides.querySelectorAll(`section[data-note="${number}"]`)];
    const seconds = 60 * Number(note.dataset.minutes);
    total += seconds;
    pages.forEach((page, index) => {
      const aside = document.createElement("aside");
      aside.className = "notes";
      aside.append(...note.cloneNode(true).childNodes);
      page.append(aside);
      const until = (n) => Math.round((seconds * n) / pages.length);
      page.dataset.timing = until(index + 1) - until(index);
    });
  });

  await Reveal.initialize({
    width: 1280, height: HEIGHT, margin: 0, minScale: 0.1, maxScale: 4,
    center: false, hash: true, navigationMode: "linear", transition: "none",
    slideNumber: "c/t", controls: false, pdfSeparateFragments: false,
    totalTime: total,
    plugins: [RevealNotes],
  });
  document.documentElement.dataset.ready = "true";
})();
