// Letterbox: fits an image into the network's input and maps points back, bit by bit as rtmo_plugin.runtime.letterbox.
//
// Python warps with OpenCV, which computes places in the image in steps of 1/32 pixel and mixes the four pixels around
// each with whole-number weights. Pixels outside of the image have the color of the padding.

const STEPS = 32; // of a pixel
const FINE = 1024; // steps of a pixel in which a place is first rounded

/** Return the placement of an image in the input: sizes in pixels, and pixels of the image for each of the input. */
export function placeImage(imageWh, sizeWh) {
  const ratio = imageWh[0] / imageWh[1];
  const fitted = [Math.min(sizeWh[0], sizeWh[1] * ratio), Math.min(sizeWh[1], sizeWh[0] / ratio)];
  const scale = imageWh.map((side, axis) => Math.fround((side * sizeWh[axis]) / fitted[axis]));
  const center = imageWh.map((side) => Math.fround(side / 2));
  const edge = Math.fround(center[0] - Math.fround(scale[0] / 2));
  const pixel = (center[0] - edge) / (sizeWh[0] / 2);
  return { sizeWh, scale, corner: center.map((middle, axis) => Math.fround(middle - 0.5 * scale[axis])), center, pixel };
}

/** Return a point of the input as a point of the image. */
export function restorePoint(placement, x, y) {
  const { sizeWh, scale, corner } = placement;
  return [(x / sizeWh[0]) * scale[0] + corner[0], (y / sizeWh[1]) * scale[1] + corner[1]];
}

/** Write an image (ImageData) as planes of blue, green and red into `planes`, a Float32Array of 3 x height x width. */
export function fillInput(planes, image, placement, padding) {
  const [width, height] = placement.sizeWh;
  const columns = placePixels(width, placement, 0);
  const rows = placePixels(height, placement, 1);
  for (let y = 0; y < height; y += 1) fillRow(planes, y, image, rows[y], columns, padding, width * height);
}

/** Return where the pixels of an axis of the input lie in the image, in steps of 1/32 pixel. */
function placePixels(length, { sizeWh, center, pixel }, axis) {
  const first = center[axis] - (sizeWh[axis] / 2) * pixel;
  const place = (index) => (axis
    ? roundHalfToEven((index * pixel + first) * FINE)
    : roundHalfToEven(index * pixel * FINE) + roundHalfToEven(first * FINE));
  const half = FINE / STEPS / 2;
  return Int32Array.from({ length }, (_, index) => Math.floor((place(index) + half) / (FINE / STEPS)));
}

function roundHalfToEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

function fillRow(planes, y, image, row, columns, padding, area) {
  const { data, width, height } = image;
  const top = row >> 5;
  const low = row & 31;
  const high = STEPS - low;
  const start = y * columns.length;
  const isInside = top >= 0 && top + 1 < height;
  for (let x = 0; x < columns.length; x += 1) {
    const left = columns[x] >> 5;
    const right = columns[x] & 31;
    const upperLeft = high * (STEPS - right);
    const upperRight = high * right;
    const lowerLeft = low * (STEPS - right);
    const lowerRight = low * right;
    const isWhole = isInside && left >= 0 && left + 1 < width;
    const at = 4 * (top * width + left);
    const below = at + 4 * width;
    for (let channel = 0; channel < 3; channel += 1) {
      const color = 2 - channel; // the image is RGBA, the input BGR
      const sum = isWhole
        ? upperLeft * data[at + color] + upperRight * data[at + 4 + color]
          + lowerLeft * data[below + color] + lowerRight * data[below + 4 + color]
        : upperLeft * read(image, left, top, color, padding) + upperRight * read(image, left + 1, top, color, padding)
          + lowerLeft * read(image, left, top + 1, color, padding) + lowerRight * read(image, left + 1, top + 1, color, padding);
      planes[channel * area + start + x] = (sum + 512) >> 10;
    }
  }
}

/** Return the color of a pixel, or that of the padding (BGR) outside of the image. */
function read({ data, width, height }, x, y, color, padding) {
  return x >= 0 && x < width && y >= 0 && y < height ? data[4 * (y * width + x) + color] : padding[2 - color];
}
