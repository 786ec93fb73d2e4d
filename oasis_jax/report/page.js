"use strict";
// What the scripts of all pages share: the data of the page, its elements by name, and the key to the colours.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);

for (const {name, colour} of [...data.classes.slice(1), ...(data.error ? [{name: "error", colour: data.error}] : [])]) {
  const mark = document.createElement("i"), item = document.createElement("span");
  mark.style.background = `rgb(${colour})`;
  item.append(mark, name);
  $("key").append(item);
}
