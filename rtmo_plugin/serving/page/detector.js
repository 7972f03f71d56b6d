// Detects people on the server of `rtmo serve`.

const FRAME_SIDE = 960; // longest side in pixels of the frames of a video that are sent
const JPEG_QUALITY = 0.92;

let model = null; // answer of /model

/** Return the model as the page shows it. */
export async function open() {
  model = await ask("model");
  return { ...model, limits: `Up to ${model.megabytes} MB and ${model.megapixels} megapixels.` };
}

/** Return an image file as an image, and its people. */
export async function detectFile(file) {
  if (file.size > model.megabytes * 1e6) {
    throw new Error(`The file has more than ${model.megabytes} MB, which is the limit: send a smaller one.`);
  }
  const answer = await ask("people", file); // first, because the server says what is wrong with a file
  return { image: await createImageBitmap(file), answer };
}

/** Return the frame that a video shows, and its people. */
export async function detectFrame(video) {
  const { videoWidth: width, videoHeight: height } = video;
  const scale = Math.min(1, FRAME_SIDE / Math.max(width, height), Math.sqrt((model.megapixels * 1e6) / (width * height)));
  const image = new OffscreenCanvas(Math.floor(width * scale), Math.floor(height * scale));
  image.getContext("2d").drawImage(video, 0, 0, image.width, image.height);
  const content = await image.convertToBlob({ type: "image/jpeg", quality: JPEG_QUALITY });
  return { image, answer: await ask("people", content) };
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
