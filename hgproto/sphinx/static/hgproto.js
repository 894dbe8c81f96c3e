// Bytes and their fields light each other up; text forms of figures can be copied. Pages can be read without this.
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
