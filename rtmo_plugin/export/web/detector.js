// Detects people in the browser: a worker runs the network.

const MEGAPIXELS = 50; // largest image: its pixels need four times as many bytes, several times over

const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
const waiting = new Map(); // {resolve, reject, report} by the number of a request

worker.addEventListener("message", ({ data: { number, result, error, share } }) => {
  const { resolve, reject, report } = waiting.get(number);
  if (share !== undefined) {
    report(share);
    return;
  }
  waiting.delete(number);
  if (error === undefined) resolve(result);
  else reject(new Error(error));
});
worker.addEventListener("error", (event) => {
  const reason = event.message ?? "it cannot be loaded";
  for (const { reject } of waiting.values()) reject(new Error(`worker.js fails: ${reason}. Recent browsers can run it.`));
  waiting.clear();
});

let count = 0;

/** Let the worker do something, and return its result. */
function ask(action, given, report = () => {}) {
  count += 1;
  const number = count;
  return new Promise((resolve, reject) => {
    waiting.set(number, { resolve, reject, report });
    worker.postMessage({ number, action, given });
  });
}

/** Return the model as the page shows it. `?backend=wasm` in the address computes without a GPU. */
export async function open(tell) {
  const answer = await fetch(new URL("model.json", import.meta.url));
  if (!answer.ok) throw new Error(`model.json cannot be loaded: the server answers with ${answer.status}.`);
  const description = await answer.json();
  const wanted = new URLSearchParams(location.search).get("backend");
  const show = (share) => tell(share < 1 ? `Loading the model … ${Math.floor(100 * share)} %` : "Starting the model …");
  const where = await ask("open", { description, wanted }, show);
  return { ...description, where, limits: "Nothing leaves this browser." };
}

/** Return an image file as an image, and its people. */
export async function detectFile(file) {
  let image;
  try {
    // Upright, with the colors as they are stored: as Python reads images.
    image = await createImageBitmap(file, { colorSpaceConversion: "none", imageOrientation: "from-image" });
  } catch {
    throw new Error("The file is not an image that this browser reads: give JPEG, PNG, WebP or BMP.");
  }
  const { width, height } = image;
  if (width * height > MEGAPIXELS * 1e6) {
    throw new Error(`The image has ${width} x ${height} pixels, more than the limit of ${MEGAPIXELS} million; use a smaller image.`);
  }
  return { image, answer: await ask("detect", { bitmap: image }) };
}

/** Return the frame that a video shows, and its people. */
export async function detectFrame(video) {
  const image = await createImageBitmap(video);
  return { image, answer: await ask("detect", { bitmap: image }) };
}
