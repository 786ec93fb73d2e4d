"use strict";
// Three views of a labelled volume, linked by a cross-hair.
// Axes 0, 1 and 2 lead to the right, the front and the top of the head; axis 2 runs fastest. A voxel is a byte: its
// class in the two upper bits, its grey in the six lower ones. Places are in voxels, or in mm, from the low corner.
const {size, mm} = data, strides = [size[1] * size[2], size[2], 1];
const letters = [["L", "R"], ["P", "A"], ["I", "S"]];  // at the low and at the high end of each axis
const extent = size.map((n, axis) => n * mm[axis]);
const side = Math.max(...extent);  // a view shows a square with this side, mm
const cross = [...data.first];     // the voxel at the cross-hair
const centre = extent.map(length => length / 2);  // the point in the middle of the views, mm
let voxels = null, zoom = 1, drawing = false;

const views = [["axial", 0, 1, 2], ["coronal", 0, 2, 1], ["sagittal", 1, 2, 0]].map(([name, across, up, through]) => {
  $("views").insertAdjacentHTML("beforeend", `<div id="${name}">
    <div class="rim"><canvas tabindex="0" role="img"></canvas><b></b><b></b><b></b><b></b></div>
    <label><span></span> <input type="range" min="0" max="${size[through] - 1}"></label></div>`);
  const box = $(name), [canvas, slider, text] = ["canvas", "input", "span"].map(part => box.querySelector(part));
  const layer = () => new OffscreenCanvas(size[across], size[up]).getContext("2d");
  const rims = box.querySelectorAll("b"), grey = layer(), labels = layer();
  return {name, across, up, through, canvas, slider, text, rims, grey, labels};
});
let active = views[0];  // the view that keys move the cross-hair in

const chosen = name => document.querySelector(`input[name=${name}]:checked`).value;
const radiological = () => chosen("convention") === "radiological";
const flip = view => view.across === 1 || radiological() ? -1 : 1;  // in the sagittal view, the nose is on the left
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const pixel = ([red, green, blue]) => (255 << 24 | blue << 16 | green << 8 | red) >>> 0;
const greys = Array.from({length: 64}, (_, k) => pixel(Array(3).fill(Math.round(k * 255 / 63))));
const colours = data.classes.map(({colour}, k) => k ? pixel(colour) : 0);  // background is clear

function place(view) {  // from voxels, across and up, to pixels of the canvas
  const {across, up, canvas} = view, scale = zoom * canvas.width / side, half = canvas.width / 2;
  return new DOMMatrix([flip(view) * scale * mm[across], 0, 0, -scale * mm[up],
    half - flip(view) * scale * centre[across], half + scale * centre[up]]);
}

function draw(view) {
  const {name, across, up, through, canvas, grey, labels} = view, [columns, rows] = [size[across], size[up]];
  const greyImage = new ImageData(columns, rows), greyPixels = new Uint32Array(greyImage.data.buffer);
  const labelImage = new ImageData(columns, rows), labelPixels = new Uint32Array(labelImage.data.buffer);
  const edges = data.classes.map(() => []);  // where a class ends, as x, y and the step to the other end of a line
  for (let y = 0, i = 0; y < rows; y++) for (let x = 0; x < columns; x++, i++) {
    const at = cross[through] * strides[through] + x * strides[across] + y * strides[up], label = voxels[at] >> 6;
    greyPixels[i] = greys[voxels[at] & 63];
    labelPixels[i] = colours[label];
    const right = x + 1 < columns ? voxels[at + strides[across]] >> 6 : 0;
    const above = y + 1 < rows ? voxels[at + strides[up]] >> 6 : 0;
    if (right !== label) edges[Math.max(right, label)].push([x + 1, y, 0, 1]);
    if (above !== label) edges[Math.max(above, label)].push([x, y + 1, 1, 0]);
  }
  grey.putImageData(greyImage, 0, 0);
  labels.putImageData(labelImage, 0, 0);

  const pen = canvas.getContext("2d"), matrix = place(view), share = id => $(id).value / 100;
  const stroke = (colour, opacity) => {  // of the path so far, as wide at every zoom
    pen.resetTransform();
    pen.lineWidth = 1.5 * devicePixelRatio;
    pen.globalAlpha = opacity;
    pen.strokeStyle = colour;
    pen.stroke();
  };
  pen.resetTransform();
  pen.clearRect(0, 0, canvas.width, canvas.height);
  pen.setTransform(matrix);
  for (const [layer, opacity, smooth] of [[grey, share("image"), true], [labels, share("labels"), false]]) {
    pen.globalAlpha = opacity;
    pen.imageSmoothingEnabled = smooth;
    pen.drawImage(layer.canvas, 0, 0);
  }
  edges.forEach((lines, k) => {
    pen.setTransform(matrix);
    pen.beginPath();
    for (const [x, y, right, above] of lines) {
      pen.moveTo(x, y);
      pen.lineTo(x + right, y + above);
    }
    stroke(`rgb(${data.classes[k].colour})`, share("outline"));
  });
  const {x, y} = matrix.transformPoint(new DOMPoint(cross[across] + .5, cross[up] + .5)), gap = 8 * devicePixelRatio;
  pen.beginPath();
  for (const [dx, dy] of [[0, 1], [1, 0], [0, -1], [-1, 0]]) {
    pen.moveTo(x + gap * dx, y + gap * dy);
    pen.lineTo(x + 2 * canvas.width * dx, y + 2 * canvas.width * dy);
  }
  stroke("#fff", .6);

  const ends = flip(view) < 0 ? [...letters[across]].reverse() : letters[across];
  [...ends, letters[up][1], letters[up][0]].forEach((letter, k) => { view.rims[k].textContent = letter; });
  view.text.textContent = `${name} slice ${data.numbers[through][cross[through]]}`;
  canvas.setAttribute("aria-label", `${view.text.textContent}: ${ends[0]} on the left, ${ends[1]} on the right`);
  view.slider.value = cross[through];
}

function show() {
  drawing = false;
  for (let axis = 0; axis < 3; axis++) {  // the cross-hair stays in sight
    const half = side / zoom / 2, here = (cross[axis] + .5) * mm[axis];
    centre[axis] = clamp(centre[axis], here - .9 * half, here + .9 * half);
    const free = extent[axis] / 2 - half;  // how far the views can be moved
    centre[axis] = free > 0 ? clamp(centre[axis], half, extent[axis] - half) : extent[axis] / 2;
  }
  views.forEach(draw);
  for (const {name} of views) $(name).classList.toggle("large", name === chosen("large"));
  $("zoom").value = zoom;
  $("side").textContent = radiological()
    ? "Radiological convention: the right side of the head is on the left of the axial and coronal views."
    : "Neurological convention: the left side of the head is on the left of the axial and coronal views.";
  const at = cross.reduce((sum, n, axis) => sum + n * strides[axis], 0);
  const {name} = data.classes[voxels[at] >> 6];
  const voxel = data.order.map(axis => data.numbers[axis][cross[axis]]);
  const there = data.affine.map(([x, y, z, shift]) => (x * cross[0] + y * cross[1] + z * cross[2] + shift).toFixed(1));
  const spot = `voxel ${voxel.join(", ")} of the file, ${there.join(", ")} mm`;
  $("numbers").textContent = `At the cross-hair: ${name}, ${spot}. ${data.texts[cross[data.axis]]}`;
}

function update() {  // at most once for each picture that the screen shows
  if (voxels && !drawing) drawing = requestAnimationFrame(show);
}

function move(axis, voxel) {
  cross[axis] = clamp(Math.floor(voxel), 0, size[axis] - 1);
  update();
}

function zoomTo(value) {  // the cross-hair keeps its place on the screen
  const before = zoom;
  zoom = clamp(value, 1, 8);
  for (let axis = 0; axis < 3; axis++) {
    const here = (cross[axis] + .5) * mm[axis];
    centre[axis] = here + (centre[axis] - here) * before / zoom;
  }
  update();
}

for (const view of views) {
  const {canvas, across, up, through} = view, touches = new Map();  // where fingers are, by their number
  const apart = () => Math.hypot(...[0, 1].map(k => { const [a, b] = touches.values(); return a[k] - b[k]; }));
  const follow = event => {
    const ratio = canvas.width / canvas.clientWidth;
    const point = new DOMPoint(event.offsetX * ratio, event.offsetY * ratio);
    const voxel = point.matrixTransform(place(view).inverse());
    move(across, voxel.x);
    move(up, voxel.y);
  };
  canvas.onfocus = () => { active = view; };
  canvas.onpointerdown = event => {
    active = view;
    canvas.setPointerCapture(event.pointerId);
    touches.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (touches.size === 1) follow(event);
  };
  canvas.onpointermove = event => {
    if (!touches.has(event.pointerId)) return;
    const before = touches.size === 2 && apart();
    touches.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (touches.size === 1) follow(event);
    else if (before) zoomTo(zoom * apart() / before);
  };
  canvas.onpointerup = canvas.onpointercancel = event => touches.delete(event.pointerId);
  let turned = 0;  // by a wheel since the last slice, pixels
  canvas.onwheel = event => {
    event.preventDefault();
    if (event.ctrlKey) return zoomTo(zoom * Math.exp(-event.deltaY / 500));
    turned += event.deltaY;
    if (Math.abs(turned) < 50) return;
    move(through, cross[through] - Math.sign(turned));
    turned = 0;
  };
  view.slider.oninput = () => move(through, Number(view.slider.value));
  new ResizeObserver(() => {
    canvas.width = canvas.height = Math.round(canvas.clientWidth * devicePixelRatio);
    update();
  }).observe(canvas);
}
$("zoom").oninput = () => zoomTo(Number($("zoom").value));
for (const input of document.querySelectorAll("[type=radio], #image, #labels, #outline")) input.oninput = update;

function press(input) {  // choose, or switch on and off
  if (input.type === "radio") input.checked = true;
  else input.value = Number(input.value) ? 0 : Number(input.defaultValue) || 100;
  update();
}

document.onkeydown = event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const {across, up, through} = active, right = flip(active);
  const step = {ArrowLeft: [across, -right], ArrowRight: [across, right], ArrowUp: [up, 1], ArrowDown: [up, -1],
    PageUp: [through, 1], PageDown: [through, -1]}[event.key];
  const input = document.querySelector(`input[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (step && event.target.tagName !== "INPUT") move(step[0], cross[step[0]] + step[1]);
  else if (event.key === "+" || event.key === "-") zoomTo(zoom * (event.key === "+" ? 1.25 : .8));
  else if (input) press(input);
  else return;
  event.preventDefault();
};

async function unpack() {
  const packed = await fetch(`data:application/gzip;base64,${$("voxels").textContent}`);
  const stream = packed.body.pipeThrough(new DecompressionStream("gzip"));
  voxels = new Uint8Array(await new Response(stream).arrayBuffer());
  update();
}
unpack().catch(error => { $("numbers").textContent = `This browser cannot show the volume (${error}).`; });
