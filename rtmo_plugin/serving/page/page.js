// The page of `rtmo serve`: a picture or the webcam in, people on it and beside it, JSON and pictures out.

import { chooseColor, drawPeople } from "./drawing.js";

const WEBCAM_SIDE = 960; // pixels: what is sent of the webcam is no larger
const PICTURE_PART = 0.92; // of JPEG's quality

const find = (id) => document.getElementById(id);
const canvas = find("canvas");
const context = canvas.getContext("2d");

let model = null; // what /model says
let shown = null; // {name, picture, answer}: what is on the canvas
let chosen = null; // index of the person who stands out
let pinned = null; // the same, after a click
let stream = null; // of the webcam
let latest = 0; // number of the newest request: older answers are left out

async function start() {
  model = await ask("model");
  document.title = `RTMO: ${model.name}`;
  find("model").textContent = `${model.name} · ${model.keypoint_names.length} keypoints`;
  find("limits").textContent = `Up to ${model.megabytes} MB and ${model.megapixels} megapixels.`;
  find("score").value = model.score_thr;
  for (const id of ["score", "visibility"]) find(id).addEventListener("input", () => { pinned = chosen = null; show(); });
  for (const id of ["choose", "drop"]) find(id).addEventListener("click", () => find("file").click());
  find("file").addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
  find("webcam").addEventListener("click", () => (stream ? stopWebcam() : startWebcam()));
  find("save-json").addEventListener("click", saveJson);
  find("save-picture").addEventListener("click", savePicture);
  document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) take(event.clipboardData.files); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && stream) stopWebcam(); });
  listenForDrops();
  show();
}

/** Ask the server; its sentence is thrown where it refuses. */
async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, body ? { method: "POST", body, headers: { "Content-Type": "application/octet-stream" } } : {});
  } catch {
    throw new Error("The server does not answer: is `rtmo serve` still running?");
  }
  const content = await answer.json().catch(() => ({ error: `The server answers with ${answer.status}.` }));
  if (!answer.ok) throw new Error(content.error);
  return content;
}

// ---- in

function listenForDrops() {
  const mark = (isOver) => find("stage").classList.toggle("is-over", isOver);
  document.addEventListener("dragover", (event) => { event.preventDefault(); mark(true); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files);
    else refuse(new Error("That was no file: save the picture first, or copy and paste it."));
  });
}

/** Look at the first file. The browser empties `files` when the event is over, so they are copied before anything waits. */
async function take(files) {
  const [file, ...others] = files;
  if (!file) return;
  stopWebcam();
  const isShown = await look(file, file.name, () => createImageBitmap(file));
  if (isShown && others.length) say(`${find("status").textContent} Only the first picture was taken.`);
}

/** Send a picture and show it with its people. Returns whether that went well. */
async function look(content, name, makePicture) {
  const number = ++latest;
  if (!stream) say("Looking for people …");
  try {
    if (content.size > model.megabytes * 1e6) {
      throw new Error(`The file has more than ${model.megabytes} MB, which is the limit: send a smaller one.`);
    }
    const answer = await ask("people", content);
    const picture = await makePicture();
    if (number !== latest) return false; // something newer was given meanwhile
    shown = { name, picture, answer };
    pinned = chosen = stream ? pinned : null;
    show();
  } catch (error) {
    if (number === latest) refuse(new Error(`${name}: ${error.message}`));
    return false;
  }
  return true;
}

async function startWebcam() {
  const video = find("video");
  try {
    if (!navigator.mediaDevices) throw new Error("The browser gives the webcam to localhost and https alone: open this page as localhost.");
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    stopWebcam();
    refuse(["NotFoundError", "DevicesNotFoundError"].includes(error.name) ? new Error("There is no webcam here.")
      : error.name === "NotAllowedError" ? new Error("The browser was not allowed to use the webcam.") : error);
    return;
  }
  markWebcam();
  while (stream && (await lookAtWebcam(video)));
  stopWebcam();
}

/** One frame: it is shown when its people are there, so that they fit. */
async function lookAtWebcam(video) {
  const { videoWidth: width, videoHeight: height } = video;
  const scale = Math.min(1, WEBCAM_SIDE / Math.max(width, height), Math.sqrt((model.megapixels * 1e6) / (width * height)));
  const frame = new OffscreenCanvas(Math.floor(width * scale), Math.floor(height * scale));
  frame.getContext("2d").drawImage(video, 0, 0, frame.width, frame.height);
  const content = await frame.convertToBlob({ type: "image/jpeg", quality: PICTURE_PART });
  return look(content, "webcam", async () => frame);
}

function stopWebcam() {
  if (!stream) return;
  stream.getTracks().forEach((track) => track.stop());
  stream = null;
  find("video").srcObject = null;
  markWebcam();
}

function markWebcam() {
  const button = find("webcam");
  button.classList.add("camera");
  button.setAttribute("aria-pressed", String(Boolean(stream)));
  button.textContent = stream ? "Stop the webcam" : "Use the webcam";
  if (stream) say("The webcam is on."); // once: a voice would not stop otherwise
}

// ---- on the page

function say(words) {
  find("status").textContent = words;
  find("error").hidden = true;
}

function refuse(error) {
  say(shown ? `Still shown: ${shown.name}.` : "");
  find("error").textContent = error.message;
  find("error").hidden = false;
}

const selectPeople = () => (shown ? shown.answer.people.filter((person) => person.score >= Number(find("score").value)) : []);
const count = (people) => (people.length === 1 ? "1 person" : `${people.length || "no"} people`);

function show() {
  for (const id of ["score", "visibility"]) find(`${id}-value`).value = Number(find(id).value).toFixed(2);
  if (!shown) return;
  find("drop").hidden = true;
  canvas.hidden = false;
  find("stage").classList.add("is-used");
  find("save-json").disabled = find("save-picture").disabled = false;
  const people = selectPeople();
  draw(people);
  list(people);
  canvas.setAttribute("aria-label", `${count(people)} in ${shown.name}`);
  if (!stream) say(`${count(people)} in ${shown.name}, found in ${Math.round(shown.answer.milliseconds)} ms.`);
}

function draw(people) {
  const { width, height } = shown.answer;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.drawImage(shown.picture, 0, 0, width, height);
  drawPeople(context, people, model, Number(find("visibility").value), chosen);
}

/** Rows that are there already are kept, so that nobody loses the focus while the webcam is on. */
function list(people) {
  const rows = find("people");
  while (rows.children.length > people.length) rows.lastChild.remove();
  while (rows.children.length < people.length) rows.append(makeRow(rows.children.length));
  people.forEach((person, index) => {
    const button = rows.children[index].firstChild;
    button.querySelector(".score").textContent = person.score.toFixed(2);
    button.querySelector(".who").textContent = `${person.class ?? "Person"} ${index + 1}`;
    button.setAttribute("aria-pressed", String(pinned === index));
  });
  find("nobody").hidden = people.length > 0;
  find("nobody").textContent = "No people with such a score";
  fillTable(people);
}

function makeRow(index) {
  const row = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "person";
  for (const name of ["chip", "who", "score"]) button.append(Object.assign(document.createElement("span"), { className: name }));
  button.firstChild.style.background = chooseColor(index);
  const point = (who) => () => { chosen = who ?? pinned; draw(selectPeople()); };
  for (const name of ["mouseenter", "focus"]) button.addEventListener(name, point(index));
  for (const name of ["mouseleave", "blur"]) button.addEventListener(name, point(null));
  button.addEventListener("click", () => { pinned = pinned === index ? null : index; chosen = pinned; show(); });
  row.append(button);
  return row;
}

function fillTable(people) {
  const person = people[pinned];
  find("keypoints").hidden = !person;
  if (!person) return;
  find("keypoints").caption.textContent = `Keypoints of ${(person.class ?? "person").toLowerCase()} ${pinned + 1}, in pixels`;
  const rows = person.keypoints.map(([x, y, visibility], k) => {
    const row = document.createElement("tr");
    row.classList.toggle("is-unsure", visibility < Number(find("visibility").value));
    const name = Object.assign(document.createElement("th"), { scope: "row", textContent: model.keypoint_names[k].replaceAll("_", " ") });
    const cells = [x.toFixed(1), y.toFixed(1), visibility.toFixed(2)];
    row.append(name, ...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return row;
  });
  find("keypoints").tBodies[0].replaceChildren(...rows);
}

// ---- out

function saveJson() {
  const { width, height } = shown.answer;
  const content = { image: shown.name, width, height, model: model.name, keypoint_names: model.keypoint_names, people: selectPeople() };
  save(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }), "json");
}

function savePicture() {
  const before = chosen;
  chosen = null;
  draw(selectPeople());
  canvas.toBlob((content) => save(content, "jpg"), "image/jpeg", PICTURE_PART);
  chosen = before;
  draw(selectPeople());
}

function save(content, suffix) {
  const name = shown.name.replace(/\.\w+$/, "");
  const address = URL.createObjectURL(content);
  const link = Object.assign(document.createElement("a"), { href: address, download: `${name}${suffix === "jpg" ? "_people" : ""}.${suffix}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

start().catch(refuse);
