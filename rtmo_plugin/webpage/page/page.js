// The page: takes images, videos or the webcam, shows the people in them, and saves JSON and plots.
//
// detector.js, which is not the same file everywhere, detects the people:
//   open(tell)          the model: name, keypoint_names, flip_pairs, classes, skeletons (one a class), score_thr,
//                       limits (a sentence), and optionally where (words on what computes) and lowest_score;
//                       tell(words) shows how far it is
//   detectFile(file)    {image, answer} of an image file; answer: {people, width, height, milliseconds}
//   detectFrame(video)  the same of the frame that a video element shows

import { detectFile, detectFrame, open } from "./detector.js";
import { chooseColor, plotPeople } from "./plot.js";

const JPEG_QUALITY = 0.92;
const NUM_TIMED = 20; // number of frames over which their rate is measured
const VIDEO_ENDING = /\.(mp4|m4v|mov|webm|mkv|ogv|avi)$/i; // some systems give these files no type

const find = (id) => document.getElementById(id);
const canvas = find("canvas");
const context = canvas.getContext("2d");
const video = find("video");

let model = null; // what open() returns
let shown = null; // {name, image, answer} on the canvas
let chosen = null; // index of the highlighted person
let pinned = null; // index of the person whose keypoints are listed
let player = null; // {kind, stop} while the webcam is on or a video plays
let latest = 0; // number of the newest image; people of older ones are discarded
let times = []; // when the latest frames were shown, in milliseconds

async function start() {
  model = await open((words) => { find("model").textContent = words; });
  document.title = `RTMO: ${model.name}`;
  const facts = [model.name, `${model.keypoint_names.length} keypoints`, model.where];
  find("model").textContent = facts.filter(Boolean).join(" · ");
  find("limits").textContent = model.limits;
  if (model.lowest_score) find("score").min = model.lowest_score;
  find("score").value = model.score_thr;
  for (const id of ["score", "visibility"]) find(id).addEventListener("input", () => { pinned = chosen = null; show(); });
  for (const id of ["choose", "drop"]) find(id).addEventListener("click", () => find("file").click());
  find("file").addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
  find("webcam").addEventListener("click", () => (player ? stop() : startWebcam()));
  find("save-json").addEventListener("click", saveJson);
  find("save-image").addEventListener("click", saveImage);
  document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) take(event.clipboardData.files); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") stop(); });
  listenForDrops();
  find("choose").disabled = find("webcam").disabled = false;
  show();
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
  stop();
  if (file.type.startsWith("video/") || VIDEO_ENDING.test(file.name)) {
    await playVideo(file);
    return;
  }
  const isShown = await look(file.name, () => detectFile(file));
  if (isShown && others.length) say(`${find("status").textContent} Only the first file is shown.`);
}

/** Show an image with its people. Return whether that succeeded. */
async function look(name, detect) {
  const number = ++latest;
  if (!player) say("Detecting people …");
  try {
    const seen = await detect();
    if (number !== latest) return false; // a newer image was given meanwhile
    shown?.image.close?.();
    shown = { name, ...seen };
    pinned = chosen = player ? pinned : null;
    show();
  } catch (error) {
    if (number === latest) refuse(new Error(`${name}: ${error.message}`));
    return false;
  }
  return true;
}

async function startWebcam() {
  try {
    if (!navigator.mediaDevices) throw new Error("Browsers allow the webcam on localhost and https only: open this page as localhost.");
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 } }, audio: false });
    video.srcObject = stream;
    await play("webcam", "webcam", () => stream.getTracks().forEach((track) => track.stop()));
  } catch (error) {
    refuse(["NotFoundError", "DevicesNotFoundError"].includes(error.name) ? new Error("No webcam was found.")
      : error.name === "NotAllowedError" ? new Error("The browser may not use the webcam: allow it for this page.") : error);
  }
}

async function playVideo(file) {
  const address = URL.createObjectURL(file);
  video.src = address;
  try {
    await play("video", file.name, () => URL.revokeObjectURL(address));
  } catch {
    refuse(new Error(`${file.name}: This browser does not play this video; mp4 files in H.264 play everywhere.`));
  }
}

/** Show the frames of the video element with their people, until it ends or is stopped; frames meanwhile are skipped. */
async function play(kind, name, free) {
  const own = { kind, stop: free };
  player = own;
  times = [];
  markPlayer();
  try {
    await video.play().catch((error) => { if (player === own) throw error; }); // stop() is not an error
    let time = -1;
    let isShown = true;
    while (player === own && isShown && !video.ended) {
      if (video.currentTime === time) await new Promise(requestAnimationFrame);
      else {
        time = video.currentTime;
        isShown = await look(name, () => detectFrame(video));
      }
    }
  } finally {
    if (player === own) stop();
  }
}

function stop() {
  if (!player) return;
  player.stop();
  player = null;
  latest += 1; // the frame that is in the network is not shown
  video.pause();
  video.srcObject = null;
  video.removeAttribute("src");
  video.load();
  markPlayer();
  if (shown && find("error").hidden) show();
}

function markPlayer() {
  const button = find("webcam");
  button.setAttribute("aria-pressed", String(Boolean(player)));
  button.textContent = player ? `Stop the ${player.kind}` : "Use the webcam";
  find("speed").hidden = true;
  // Once, because screen readers read every change aloud.
  if (player) say(player.kind === "webcam" ? "The webcam is on." : "The video plays.");
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
  if (player) {
    showSpeed();
    return;
  }
  const time = `${Math.round(shown.answer.milliseconds)} ms`;
  say(people.length ? `${count(people)} in ${shown.name}, found in ${time}.` : `No people found in ${shown.name} (${time}).`);
}

/** Show how many frames come in a second, and how long the latest took. */
function showSpeed() {
  times = [...times, performance.now()].slice(-NUM_TIMED);
  const seconds = (times.at(-1) - times[0]) / 1000;
  if (!seconds) return;
  const rate = (times.length - 1) / seconds;
  find("speed").hidden = false;
  find("speed").textContent = `${rate.toFixed(rate < 10 ? 1 : 0)} frames per second, ${Math.round(shown.answer.milliseconds)} ms each`;
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
