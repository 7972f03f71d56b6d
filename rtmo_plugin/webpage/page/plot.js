// Plots people on a canvas: limbs in the person's color, keypoints white on the left side and dark on the right.

// Colors that color-blind readers can tell apart; the same as in the images of `rtmo predict`.
const PALETTE = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#78c850", "#dc3c3c", "#3cc8c8"];

export const chooseColor = (index) => PALETTE[index % PALETTE.length];

/** Plot people. All but the person with the index `chosen` are faint, unless it is null. */
export function plotPeople(context, people, model, visibility, chosen) {
  const left = new Set(model.flip_pairs.map((pair) => pair[0]));
  const right = new Set(model.flip_pairs.map((pair) => pair[1]));
  const sides = model.keypoint_names.map((_, k) => (left.has(k) ? "#ffffff" : right.has(k) ? "#282828" : "#c8c8c8"));
  people.forEach((person, index) => {
    context.globalAlpha = chosen === null || chosen === index ? 1 : 0.25;
    const skeleton = model.skeletons[Math.max(0, model.classes.indexOf(person.class))]; // people of a single class do not name it
    plotPerson(context, person, skeleton, sides, chooseColor(index), visibility);
  });
  context.globalAlpha = 1;
}

function plotPerson(context, person, skeleton, sides, color, visibility) {
  const isShown = person.keypoints.map((point) => point[2] >= visibility);
  const shown = person.keypoints.filter((_, k) => isShown[k]);
  if (!shown.length) return;
  const width = chooseWidth(shown, context.canvas);
  context.strokeStyle = context.fillStyle = color;
  context.lineWidth = width;
  context.lineCap = "round";
  for (const [a, b] of skeleton) {
    if (!isShown[a] || !isShown[b]) continue;
    context.beginPath();
    context.moveTo(...person.keypoints[a].slice(0, 2));
    context.lineTo(...person.keypoints[b].slice(0, 2));
    context.stroke();
  }
  person.keypoints.forEach(([x, y], k) => {
    if (!isShown[k]) return;
    plotDot(context, x, y, 1.1 * width, color);
    plotDot(context, x, y, 0.6 * width, sides[k]);
  });
  writeScore(context, person.score.toFixed(2), shown, color);
}

/** Return a line width that suits the size of the person and of the image. */
function chooseWidth(points, canvas) {
  const extent = (axis) => Math.max(...points.map((p) => p[axis])) - Math.min(...points.map((p) => p[axis]));
  const finest = Math.max(1, Math.max(canvas.width, canvas.height) / 640);
  return Math.min(Math.max(1.5 * finest, Math.max(extent(0), extent(1)) / 55), 6 * finest);
}

function plotDot(context, x, y, radius, color) {
  context.fillStyle = color;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/** Write the score above the person, inside the image, with an outline that is readable on any background. */
function writeScore(context, text, points, color) {
  const { width, height } = context.canvas;
  const size = Math.max(12, Math.max(width, height) / 50);
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.lineJoin = "round";
  const length = context.measureText(text).width;
  const middle = points.reduce((sum, p) => sum + p[0], 0) / points.length;
  const top = Math.min(...points.map((p) => p[1]));
  const x = Math.min(Math.max(middle - length / 2, 2), width - length - 2);
  const y = Math.min(Math.max(top - 0.9 * size, size), height - 4);
  context.lineWidth = size / 4;
  context.strokeStyle = "rgb(0 0 0 / 0.85)";
  context.strokeText(text, x, y);
  context.fillStyle = color;
  context.fillText(text, x, y);
}
