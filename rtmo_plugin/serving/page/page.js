// The page of `rtmo serve`: takes an image or the webcam, shows the people, and saves JSON and plots.

import { chooseColor, plotPeople } from "./plot.js";

const WEBCAM_SIDE = 960; // longest side in pixels of the frames that are sent
const JPEG_QUALITY = 0.92;

const find = (id) => document.getElementById(id);
const canvas = find("canvas");
const context = canvas.getContext("2d");

let model = null; // answer of /model
let shown = null; // {name, image, answer} on the canvas
let chosen = null; // index of the highlighted person
let pinned = null; // index of the person whose keypoints are listed
let stream = null; // of the webcam, while it is on
let latest = 0; // number of the newest request; answers to older ones are discarded

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
  find("save-image").addEventListener("click", saveImage);
  document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) take(event.clipboardData.files); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && stream) stopWebcam(); });
  listenForDrops();
  show();
}

/** Return the server's answer; if it refuses, throw its sentence. */
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

// ---- input

function listenForDrops() {
  const mark = (isOver) => find("stage").classList.toggle("is-over", isOver);
  document.addEventListener("dragover", (event) => { event.preventDefault(); mark(true); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) mark(false); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (event.dataTransfer.files.length) take(event.dataTransfer.files);
    else refuse(new Error("This is not a file: save the image first, or copy and paste it."));
  });
}

/** Take the first file. The browser empties `files` after the event, so they are copied before anything is awaited. */
async function take(files) {
  const [file, ...others] = files;
  if (!file) return;
  stopWebcam();
  const isShown = await look(file, file.name, () => createImageBitmap(file));
  if (isShown && others.length) say(`${find("status").textContent} Only the first file is shown.`);
}

/** Send an image and show it with its people. Return whether that succeeded. */
async function look(content, name, makeImage) {
  const number = ++latest;
  if (!stream) say("Detecting people …");
  try {
    if (content.size > model.megabytes * 1e6) {
      throw new Error(`The file has more than ${model.megabytes} MB, which is the limit: send a smaller one.`);
    }
    const answer = await ask("people", content);
    const image = await makeImage();
    if (number !== latest) return false; // a newer image was given meanwhile
    shown = { name, image, answer };
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
    if (!navigator.mediaDevices) throw new Error("Browsers allow the webcam on localhost and https only: open this page as localhost.");
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    stopWebcam();
    refuse(["NotFoundError", "DevicesNotFoundError"].includes(error.name) ? new Error("No webcam was found.")
      : error.name === "NotAllowedError" ? new Error("The browser may not use the webcam: allow it for this page.") : error);
    return;
  }
  markWebcam();
  while (stream && (await lookAtWebcam(video)));
  stopWebcam();
}

/** Send one frame; it is shown together with its people. */
async function lookAtWebcam(video) {
  const { videoWidth: width, videoHeight: height } = video;
  const scale = Math.min(1, WEBCAM_SIDE / Math.max(width, height), Math.sqrt((model.megapixels * 1e6) / (width * height)));
  const frame = new OffscreenCanvas(Math.floor(width * scale), Math.floor(height * scale));
  frame.getContext("2d").drawImage(video, 0, 0, frame.width, frame.height);
  const content = await frame.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
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
  if (stream) say("The webcam is on."); // once, because screen readers read every change aloud
}

// ---- display

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
  find("save-json").disabled = find("save-image").disabled = false;
  const people = selectPeople();
  draw(people);
  list(people);
  canvas.setAttribute("aria-label", `${count(people)} in ${shown.name}`);
  if (stream) return;
  const time = `${Math.round(shown.answer.milliseconds)} ms`;
  say(people.length ? `${count(people)} in ${shown.name}, found in ${time}.` : `No people found in ${shown.name} (${time}).`);
}

function draw(people) {
  const { width, height } = shown.answer;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.drawImage(shown.image, 0, 0, width, height);
  plotPeople(context, people, model, Number(find("visibility").value), chosen);
}

/** List the people. Existing rows are kept, so that the focus stays while the webcam is on. */
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
  find("no-people").hidden = people.length > 0;
  find("no-people").textContent = "No people with this score";
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

// ---- downloads

function saveJson() {
  const { width, height } = shown.answer;
  const content = { image: shown.name, width, height, model: model.name, keypoint_names: model.keypoint_names, people: selectPeople() };
  save(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }), "json");
}

function saveImage() {
  const before = chosen;
  chosen = null;
  draw(selectPeople());
  canvas.toBlob((content) => save(content, "jpg"), "image/jpeg", JPEG_QUALITY);
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
