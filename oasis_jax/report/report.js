"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const canvas = $("picture"), pen = canvas.getContext("2d", {willReadFrequently: true});
let shown = [];          // positions in data.slices, in the order of the slider
let drawing = 0;         // the latest request; slower ones before it are dropped

const load = source => new Promise((resolve, reject) => {
  const image = new Image();
  image.onload = () => resolve(image);
  image.onerror = reject;
  image.src = source;
});
const layer = () => document.querySelector("input[name=layer]:checked").value;
const percent = x => x === null ? "absent" : x.toFixed(4);

function list() {
  const kept = shown[$("slice").value];
  const subject = $("subject").value, worst = $("order").value === "worst";
  shown = [...data.slices.keys()].filter(i => subject === "" || data.slices[i].subject === subject);
  const before = (a, b) => a.localeCompare(b, "en", {numeric: true});
  if (worst) shown.sort((a, b) => (data.slices[a].foreground ?? 2) - (data.slices[b].foreground ?? 2));
  else shown.sort((i, j) => {
    const a = data.slices[i], b = data.slices[j];
    return before(a.subject, b.subject) || before(a.case, b.case) || a.number - b.number;
  });
  $("slice").max = shown.length - 1;
  $("slice").value = Math.max(0, kept === undefined ? 0 : shown.indexOf(kept));
  draw();
}

async function draw() {
  const mine = ++drawing, at = Number($("slice").value), one = data.slices[shown[at]];
  const [image, labels] = await Promise.all([load(one.image), load(one.labels)]);
  if (mine !== drawing) return;
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.style.width = `min(100%, ${3.5 * one.mm[1] * image.width}px)`;  // all slices at one scale
  canvas.style.aspectRatio = `${one.mm[1] * image.width} / ${one.mm[0] * image.height}`;
  pen.drawImage(labels, 0, 0);
  const coded = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  pen.drawImage(image, 0, 0);
  const picture = pen.getImageData(0, 0, canvas.width, canvas.height), rgb = picture.data;
  const share = $("opacity").value / 100, kind = layer();
  for (let i = 0; i < rgb.length; i += 4) {
    const code = Math.round(coded[i] / 17), truth = code >> 2, prediction = code & 3;
    let colour = null;
    if (kind === "errors" && truth !== prediction) colour = data.error;
    if (kind === "truth" && truth) colour = data.classes[truth].colour;
    if (kind === "prediction" && prediction) colour = data.classes[prediction].colour;
    if (colour) for (let c = 0; c < 3; c++) rgb[i + c] = (1 - share) * rgb[i + c] + share * colour[c];
  }
  pen.putImageData(picture, 0, 0);
  const scores = data.classes.slice(1).map((c, k) => `${c.name} ${percent(one.dice[k + 1])}`).join(", ");
  $("numbers").textContent = `${at + 1} of ${shown.length}: subject ${one.subject}, case ${one.case}, slice ` +
    `${one.number}. Hard Dice ${percent(one.foreground)}, the mean of ${scores}; ${one.wrong} wrong pixels.`;
}

const names = [...new Set(data.slices.map(one => one.subject))];
for (const name of names.sort((a, b) => a.localeCompare(b, "en", {numeric: true})))
  $("subject").add(new Option(name, name));
$("subject").add(new Option(`all ${$("subject").length}`, ""), 0);
$("subject").value = "";
for (const one of [...data.classes.slice(1), {name: "error", colour: data.error}]) {
  const mark = document.createElement("i"), item = document.createElement("span");
  mark.style.background = `rgb(${one.colour})`;
  item.append(mark, one.name);
  $("key").append(item);
}
$("order").onchange = $("subject").onchange = list;
$("slice").oninput = $("opacity").oninput = $("layer").onchange = draw;
const move = step => { $("slice").value = Number($("slice").value) + step; draw(); };
$("back").onclick = () => move(-1);
$("on").onclick = () => move(1);
document.onkeydown = event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = {ArrowLeft: -1, ArrowRight: 1}[event.key], kind = {n: "none", t: "truth", p: "prediction", e: "errors"}[event.key.toLowerCase()];
  const free = !["SELECT", "INPUT"].includes(event.target.tagName);
  if (step && (free || event.target.type === "radio")) {
    event.preventDefault();
    move(step);
  } else if (kind && event.target.tagName !== "SELECT") {
    document.querySelector(`input[value=${kind}]`).checked = true;
    draw();
  }
};
list();
