"use strict";
// The browser of single slices, of one subject or of all, the worst first or by number: a slice with the colours of its
// classes, a slider, and a sentence about the slice.
const canvas = $("picture"), pen = canvas.getContext("2d", {willReadFrequently: true});
let shown = [...data.slices.keys()];  // positions in data.slices, in the order of the slider
let latest = 0;                       // number of the latest request to draw; older ones that finish later are dropped

const load = source => new Promise((resolve, reject) => {
  const image = new Image();
  image.onload = () => resolve(image);
  image.onerror = reject;
  image.src = source;
});

const compareText = (a, b) => a.localeCompare(b, "en", {numeric: true});

function choose() {
  const subject = $("subject").value, kept = shown[$("slice").value];
  shown = [...data.slices.keys()].filter(i => subject === "" || data.slices[i].subject === subject);
  if ($("order").value === "worst") {
    shown.sort((a, b) => (data.slices[a].foreground ?? 2) - (data.slices[b].foreground ?? 2));
  } else shown.sort((i, j) => {
    const a = data.slices[i], b = data.slices[j];
    return compareText(a.subject, b.subject) || compareText(a.case, b.case) || a.number - b.number;
  });
  $("slice").max = shown.length - 1;
  $("slice").value = $("numbers").textContent ? Math.max(0, shown.indexOf(kept)) : 0;
  draw();
}

async function draw() {
  const request = ++latest, position = Number($("slice").value), slice = data.slices[shown[position]];
  const [image, labels] = await Promise.all([load(slice.image), load(slice.labels)]);
  if (request !== latest) return;
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.style.width = `min(100%, ${3.5 * slice.mm[1] * image.width}px)`;  // all slices at one scale
  canvas.style.aspectRatio = `${slice.mm[1] * image.width} / ${slice.mm[0] * image.height}`;
  pen.drawImage(labels, 0, 0);
  const coded = pen.getImageData(0, 0, canvas.width, canvas.height).data;
  pen.drawImage(image, 0, 0);
  const picture = pen.getImageData(0, 0, canvas.width, canvas.height), rgb = picture.data;
  const opacity = $("opacity").value / 100, layer = document.querySelector("input[name=layer]:checked").value;
  for (let i = 0; i < rgb.length; i += 4) {
    const code = Math.round(coded[i] / 17), truth = code >> 2, prediction = code & 3;
    let colour = null;
    if (layer === "errors" && truth !== prediction) colour = data.error;
    if (layer === "truth" && truth) colour = data.classes[truth].colour;
    if (layer === "prediction" && prediction) colour = data.classes[prediction].colour;
    if (colour) for (let c = 0; c < 3; c++) rgb[i + c] = (1 - opacity) * rgb[i + c] + opacity * colour[c];
  }
  pen.putImageData(picture, 0, 0);
  $("numbers").textContent = `${position + 1} of ${shown.length}: ${slice.text}`;
}

$("slice").oninput = $("opacity").oninput = $("layer").onchange = draw;
const move = step => { $("slice").value = Number($("slice").value) + step; draw(); };
$("back").onclick = () => move(-1);
$("on").onclick = () => move(1);
document.onkeydown = event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  const radio = document.querySelector(`input[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  const free = !["SELECT", "INPUT"].includes(event.target.tagName);
  if (step && (free || event.target.type === "radio")) {
    event.preventDefault();
    move(step);
  } else if (radio && event.target.tagName !== "SELECT") {
    radio.checked = true;
    draw();
  }
};

for (const name of [...new Set(data.slices.map(slice => slice.subject))].sort(compareText))
  $("subject").add(new Option(name, name));
$("subject").add(new Option(`all ${$("subject").length}`, ""), 0);
$("subject").value = "";
$("order").onchange = $("subject").onchange = choose;
choose();
