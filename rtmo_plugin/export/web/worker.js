// Runs the network in a thread of its own, so that the page answers meanwhile: WebGPU where there is one, else WebAssembly.

import { fillInput, placeImage, restorePoint } from "./letterbox.js";

const RUNTIMES = {
  webgpu: { program: "ort.webgpu.min.js", binary: "ort-wasm-simd-threaded.asyncify" },
  wasm: { program: "ort.wasm.min.js", binary: "ort-wasm-simd-threaded" },
};
const MAX_THREADS = 8;
const DIVERGED = "The model computes numbers that are not finite (NaN or infinity): export an earlier checkpoint, or without --half.";

let ort = null; // ONNX Runtime
let session = null;
let model = null; // content of model.json
let planes = null; // input of the network, filled again for each image
let canvas = null; // used again for images of the same size, to read their pixels

const actions = { open, detect };

self.addEventListener("message", async ({ data: { number, action, given } }) => {
  try {
    postMessage({ number, result: await actions[action](given, (share) => postMessage({ number, share })) });
  } catch (error) {
    postMessage({ number, error: error.message || String(error) });
  }
});

/** Load the model, and return words on what computes it. `wanted` is "wasm" to compute without a GPU. */
async function open({ description, wanted }, report) {
  model = description;
  planes = new Float32Array(3 * model.size_wh[0] * model.size_wh[1]);
  const content = await download(new URL("model.onnx", import.meta.url), report);
  let reason = wanted === "wasm" ? "" : await findObstacle();
  if (wanted !== "wasm" && !reason) {
    try {
      await start("webgpu", content);
      return "WebGPU";
    } catch (error) {
      reason = `WebGPU failed: ${error.message || error}`;
      console.warn(reason);
    }
  }
  await start("wasm", content);
  const { numThreads } = ort.env.wasm;
  return `WebAssembly, ${numThreads === 1 ? "1 thread" : `${numThreads} threads`}${reason && ` (${reason})`}`;
}

/** Return why WebGPU cannot be used, or an empty text. */
async function findObstacle() {
  if (!navigator.gpu) return "this browser has no WebGPU here";
  return (await navigator.gpu.requestAdapter()) ? "" : "WebGPU finds no graphics card";
}

/** Return the content of a file, and report the share that has arrived. */
async function download(address, report) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address.pathname} cannot be loaded: the server answers with ${answer.status}.`);
  const total = Number(answer.headers.get("Content-Length"));
  const parts = [];
  let received = 0;
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    received += value.length;
    if (total >= received) report(received / total);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** Start a session, and let it compute once: some errors, and the programs of a GPU, come with the first image. */
async function start(name, content) {
  const { program, binary } = RUNTIMES[name];
  ort = await import(`./ort/${program}`);
  const locate = (suffix) => new URL(`ort/${binary}.${suffix}`, import.meta.url).href;
  ort.env.wasm.wasmPaths = { mjs: locate("js"), wasm: locate("wasm") };
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(MAX_THREADS, navigator.hardwareConcurrency) : 1;
  ort.env.logLevel = "error";
  session = await ort.InferenceSession.create(content, { executionProviders: [name] });
  planes.fill(114);
  const outputs = await run();
  for (const output of Object.values(outputs)) output.dispose();
}

async function run() {
  const [width, height] = model.size_wh;
  const input = new ort.Tensor("float32", planes, [1, 3, height, width]);
  try {
    return await session.run({ [session.inputNames[0]]: input });
  } finally {
    input.dispose();
  }
}

/** Return the people in an image (ImageBitmap), best first, with the milliseconds that it took. */
async function detect({ bitmap }) {
  const begin = performance.now();
  const { width, height } = bitmap;
  const placement = placeImage([width, height], model.size_wh);
  fillInput(planes, readPixels(bitmap), placement, model.pad_value);
  bitmap.close();
  const outputs = await run();
  const people = describePeople(outputs, placement);
  for (const output of Object.values(outputs)) output.dispose();
  return { people, width, height, milliseconds: performance.now() - begin };
}

function readPixels(bitmap) {
  const { width, height } = bitmap;
  if (canvas?.width !== width || canvas?.height !== height) canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** Return people as `PoseResult.to_dict` does: pixels of the image, in hundredths. Rows with score 0 are padding. */
function describePeople({ dets, keypoints, labels }, placement) {
  const { keypoint_names: names, classes } = model;
  if (!dets.data.every(Number.isFinite) || !keypoints.data.every(Number.isFinite)) throw new Error(DIVERGED);
  const people = [];
  for (let row = 0; row < dets.dims[1]; row += 1) {
    const [x1, y1, x2, y2, score] = dets.data.subarray(5 * row, 5 * row + 5);
    if (score <= 0) continue;
    const clip = (value, axis) => Math.min(Math.max(value, 0), placement.sizeWh[axis]);
    const restore = (x, y) => restorePoint(placement, x, y).map((value) => round(value, 2));
    const points = names.map((_, k) => {
      const at = 3 * (row * names.length + k);
      return [...restore(keypoints.data[at], keypoints.data[at + 1]), round(keypoints.data[at + 2], 3)];
    });
    const box = [...restore(clip(x1, 0), clip(y1, 1)), ...restore(clip(x2, 0), clip(y2, 1))];
    people.push({ score: round(score, 4), box, keypoints: points, ...(labels && { class: classes[Number(labels.data[row])] }) });
  }
  return people;
}

const round = (value, digits) => Number(value.toFixed(digits));
