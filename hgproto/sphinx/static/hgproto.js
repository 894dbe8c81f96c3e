// Bytes and their fields light each other up, a selected state shows its transitions, and text forms of figures can be copied.
// Pages can be read without this.
"use strict";

for (const example of document.querySelectorAll(".hgp-bytes")) {
  const rows = [...example.querySelectorAll("tr[data-field]")];
  const runs = [...example.querySelectorAll("[data-fields]")];
  const fieldsOf = (run) => run.dataset.fields.split(" ");
  const light = (fields) => {
    for (const row of rows) row.classList.toggle("hgp-lit", fields.includes(row.dataset.field));
    for (const run of runs) run.classList.toggle("hgp-lit", fieldsOf(run).some((field) => fields.includes(field)));
  };
  for (const row of rows) {
    for (const event of ["mouseenter", "focus", "click"]) row.addEventListener(event, () => light([row.dataset.field]));
    for (const event of ["mouseleave", "blur"]) row.addEventListener(event, () => light([]));
  }
  for (const run of runs) {
    for (const event of ["mouseenter", "click"]) run.addEventListener(event, () => light(fieldsOf(run)));
    run.addEventListener("mouseleave", () => light([]));
  }
}

for (const figure of document.querySelectorAll("svg.hgp-machine")) {
  const transitions = [...figure.querySelectorAll(".hgp-transition")];
  const states = [...figure.querySelectorAll("[data-state]")];
  let pinned = null;
  const choose = (name) => {
    const near = transitions.filter((transition) => name !== null && [transition.dataset.from, transition.dataset.to].includes(name));
    const names = new Set(near.flatMap((transition) => [transition.dataset.from, transition.dataset.to])).add(name);
    figure.classList.toggle("hgp-choosing", name !== null);
    for (const transition of transitions) transition.classList.toggle("hgp-chosen", near.includes(transition));
    for (const state of states) {
      state.classList.toggle("hgp-chosen", names.has(state.dataset.state));
      state.classList.toggle("hgp-pinned", state.dataset.state === pinned);
    }
  };
  for (const state of states) {
    const name = state.dataset.state;
    for (const event of ["mouseenter", "focus"]) state.addEventListener(event, () => choose(name));
    for (const event of ["mouseleave", "blur"]) state.addEventListener(event, () => choose(pinned));
    state.addEventListener("click", (event) => {
      event.preventDefault();
      pinned = pinned === name ? null : name;
      choose(pinned);
    });
  }
  if (states.length > 2 && figure.closest(".hgp-wide, .hgp-narrow")) {
    const hint = document.createElement("p");
    hint.className = "hgp-hint";
    hint.textContent = "Select a state to see its transitions only. A number links to the table below.";
    figure.before(hint);
  }
}

if (navigator.clipboard) {
  for (const text of document.querySelectorAll(".hgp-text")) {
    const button = document.createElement("button");
    button.className = "hgp-copy";
    button.type = "button";
    button.textContent = "copy";
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(text.querySelector("pre").textContent);
      button.textContent = "copied";
      setTimeout(() => (button.textContent = "copy"), 1500);
    });
    text.append(button);
  }
}
