// A formula that is wider than the page scrolls; then the keyboard must reach it, too.
window.addEventListener("load", async () => {
  if (!window.MathJax) return;
  await MathJax.startup.promise;
  for (const formula of document.querySelectorAll("mjx-container"))
    if (formula.scrollWidth > formula.clientWidth || formula.scrollHeight > formula.clientHeight)
      formula.tabIndex = 0;
});
