"use strict";
// The list of slices of an evaluation: of one subject or of all, the worst slice first or by number.
function choose() {
  const subject = $("subject").value, worst = $("order").value === "worst";
  const compareText = (a, b) => a.localeCompare(b, "en", {numeric: true});
  const chosen = [...data.slices.keys()].filter(i => subject === "" || data.slices[i].subject === subject);
  if (worst) chosen.sort((a, b) => (data.slices[a].foreground ?? 2) - (data.slices[b].foreground ?? 2));
  else chosen.sort((i, j) => {
    const a = data.slices[i], b = data.slices[j];
    return compareText(a.subject, b.subject) || compareText(a.case, b.case) || a.number - b.number;
  });
  list(chosen);
}

const names = [...new Set(data.slices.map(slice => slice.subject))];
for (const name of names.sort((a, b) => a.localeCompare(b, "en", {numeric: true})))
  $("subject").add(new Option(name, name));
$("subject").add(new Option(`all ${$("subject").length}`, ""), 0);
$("subject").value = "";
$("order").onchange = $("subject").onchange = choose;
choose();
