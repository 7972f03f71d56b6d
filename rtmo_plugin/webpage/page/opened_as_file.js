// Browsers load neither modules nor models from file: addresses. They do load this script, which says what to do.

if (location.protocol === "file:") {
  const folder = decodeURIComponent(location.pathname.replace(/\/[^/]*$/, ""));
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("model").textContent = "Opened as a file";
    const error = document.getElementById("error");
    error.textContent = "Browsers do not run this page from a file. Serve its folder, for example with "
      + `python3 -m http.server --directory "${folder}" and open http://localhost:8000.`;
    error.hidden = false;
  });
}
